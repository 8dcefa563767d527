// Hands: pointers and keys on the plane, a sheet to draw on or to drop an image on, and buttons.
"use strict";
(() => {
  const own = (window.LatentExplorer ??= {});
  const TAP = 5; // CSS pixels that a pointer may move and still have tapped
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  // Where in a canvas, within its border, a pointer is, in CSS pixels.
  const within = (canvas, event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left - canvas.clientLeft, event.clientY - box.top - canvas.clientTop];
  };

  // Pixels (D) in [0, 1] as gray on a canvas, `left` columns in; 0 is black.
  own.paint = (canvas, [height, width], pixels, left = null) => {
    if (left === null && (canvas.width !== width || canvas.height !== height)) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    const gray = (value) => [255 * value, 255 * value, 255 * value, 255];
    context.putImageData(own.picture(context, width, height, pixels, gray), left ?? 0, 0);
  };

  // As wide and high as the image, and never so narrow that no finger hits it.
  own.fit = (canvas, [height, width]) => (canvas.style.aspectRatio = Math.min(4, Math.max(0.25, width / height)));

  // The image x as a sheet: ink goes where the pen goes, and `changed` is given the new pixels and what they are.
  own.Sheet = class {
    constructor(canvas, shape, changed) {
      Object.assign(this, { canvas, shape, changed });
      this.pen = [shape[1] / 2, shape[0] / 2];
      let last = null;
      const at = (event) => {
        const [x, y] = within(canvas, event);
        return [(x / canvas.clientWidth) * shape[1], (y / canvas.clientHeight) * shape[0]];
      };
      canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        this.stroke((last = at(event)), last);
      });
      canvas.addEventListener("pointermove", (event) => last && this.stroke(last, (last = at(event))));
      for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));
      canvas.addEventListener("keydown", (event) => this.key(event));
      canvas.addEventListener("focus", () => this.show(this.pixels));
      canvas.addEventListener("blur", () => this.show(this.pixels));
      canvas.addEventListener("dragover", (event) => event.preventDefault());
      canvas.addEventListener("drop", (event) => {
        event.preventDefault();
        if (event.dataTransfer.files.length) this.open(event.dataTransfer.files[0]);
      });
    }

    // A stroke of a pen a tenth of the sheet wide, with a soft edge of a pixel.
    stroke([x0, y0], [x1, y1]) {
      const [height, width] = this.shape;
      const radius = Math.max(0.5, 0.05 * Math.min(height, width));
      const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
      this.pen = [x1, y1];
      const inked = this.pixels.map((old, i) => {
        const [x, y] = [(i % width) + 0.5, Math.floor(i / width) + 0.5];
        const along = length ? Math.min(1, Math.max(0, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length)) : 0;
        const distance = Math.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0));
        return Math.max(old, Math.min(1, Math.max(0, radius + 0.5 - distance)));
      });
      this.pixels = inked; // the next stroke may come before the next frame
      this.changed(inked, "your drawing");
    }

    key(event) {
      const [dx, dy] = ARROWS[event.key] ?? [0, 0];
      if (!ARROWS[event.key] && event.key !== " ") return;
      event.preventDefault();
      const clip = (value, size) => Math.min(size - 0.5, Math.max(0.5, value));
      this.pen = [clip(this.pen[0] + dx, this.shape[1]), clip(this.pen[1] + dy, this.shape[0])];
      if (event.key === " ") this.stroke(this.pen, this.pen);
      else this.show(this.pixels);
    }

    blank() {
      this.changed(new Float32Array(this.shape[0] * this.shape[1]), "a blank sheet");
    }

    // An image file in the middle of the sheet, in gray; one with a light margin is turned to light on dark.
    async open(file) {
      const [height, width] = this.shape;
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [width, height];
      const context = canvas.getContext("2d", { willReadFrequently: true });
      try {
        const image = await createImageBitmap(file);
        const scale = Math.min(width / image.width, height / image.height);
        context.imageSmoothingQuality = "high";
        const [w, h] = [image.width * scale, image.height * scale];
        context.drawImage(image, (width - w) / 2, (height - h) / 2, w, h);
      } catch {
        return this.changed(this.pixels, `${file.name} is no image that this browser reads`);
      }
      const { data } = context.getImageData(0, 0, width, height);
      const gray = Float32Array.from({ length: width * height }, (_, i) => {
        const [r, g, b, a] = data.subarray(4 * i, 4 * i + 4);
        return ((0.299 * r + 0.587 * g + 0.114 * b) * a) / 255 ** 2;
      });
      const margin = gray.filter((_, i) => [0, width - 1].includes(i % width) || [0, height - 1].includes(Math.floor(i / width)));
      const light = margin.reduce((sum, value) => sum + value, 0) > margin.length / 2;
      this.changed(light ? gray.map((value) => 1 - value) : gray, `${file.name}${light ? ", inverted" : ""}`);
    }

    show(pixels) {
      this.pixels = pixels;
      own.paint(this.canvas, this.shape, pixels);
      if (!this.canvas.matches(":focus-visible")) return;
      const context = this.canvas.getContext("2d");
      context.fillStyle = "#ff9a4d";
      context.fillRect(Math.floor(this.pen[0]), Math.floor(this.pen[1]), 1, 1);
    }
  };

  own.listen = (explorer) => {
    const { surface, sheet, meta, root } = explorer;
    const canvas = surface.canvas;
    const at = (event) => within(canvas, event);
    const dotAt = (place, reach) => (surface.shows.codes ? surface.nearest(...place, reach) : -1);
    let down = null;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      explorer.stroll(false);
      explorer.hover(-1);
      down = { place: at(event), moved: false };
    });
    canvas.addEventListener("pointermove", (event) => {
      const place = at(event);
      if (!down) return event.pointerType === "mouse" && explorer.hover(dotAt(place, 7));
      down.moved ||= Math.hypot(place[0] - down.place[0], place[1] - down.place[1]) > TAP;
      if (down.moved) explorer.moveTo(surface.toCode(...place, explorer.z));
    });
    canvas.addEventListener("pointerup", (event) => {
      if (down && !down.moved) {
        const dot = dotAt(down.place, event.pointerType === "mouse" ? 7 : 16);
        if (dot < 0) explorer.moveTo(surface.toCode(...down.place, explorer.z));
        else explorer.take(dot);
      }
      down = null;
    });
    canvas.addEventListener("pointercancel", () => (down = null));
    canvas.addEventListener("pointerleave", () => explorer.hover(-1));
    canvas.addEventListener("keydown", (event) => {
      const place = surface.toPixel(explorer.z);
      if (ARROWS[event.key]) {
        const step = (event.shiftKey ? 0.05 : 0.01) * surface.side;
        const [dx, dy] = ARROWS[event.key];
        explorer.moveTo(surface.toCode(place[0] + dx * step, place[1] + dy * step, explorer.z));
      } else if (event.key === "Home") explorer.moveTo(explorer.z.map(() => 0));
      else if (event.key === "Enter") explorer.take(surface.nearest(...place));
      else return;
      event.preventDefault();
    });

    const actions = {
      previous: () => explorer.take(explorer.x.index - 1),
      next: () => explorer.take(explorer.x.index + 1),
      blank: () => sheet.blank(),
      open: () => explorer.find("input[type=file]").click(),
      mean: () => explorer.moveTo(explorer.x.q.mu),
      draw: () => explorer.moveTo(own.reparameterize(explorer.x.q, explorer.z.map(normal))),
      a: () => (explorer.walk = [explorer.z, explorer.walk[1]]),
      b: () => (explorer.walk = [explorer.walk[0], explorer.z]),
      walk: () => explorer.stroll(!explorer.strolling),
    };
    root.addEventListener("click", (event) => {
      const name = event.target.closest("[data-do]")?.dataset.do;
      if (!name) return;
      if (name !== "walk") explorer.stroll(false);
      actions[name]();
      explorer.refresh();
    });
    explorer.find("input[type=file]").addEventListener("change", (event) => {
      if (event.target.files.length) sheet.open(event.target.files[0]);
      event.target.value = "";
    });
    explorer.find("[data-walk]").addEventListener("input", (event) => explorer.step(Number(event.target.value)));
    for (const box of root.querySelectorAll("[data-shows]")) {
      box.addEventListener("change", () => {
        surface.shows[box.dataset.shows] = box.checked;
        surface.stale = true;
        explorer.refresh();
      });
    }
    new ResizeObserver(() => canvas.clientWidth && explorer.restyle()).observe(canvas);
    new MutationObserver(() => explorer.restyle()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  };

  // Box and Muller.
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
})();
