// The latent plane on a canvas: the decoder's pictures as ink, held-out codes as dots, q(z|x), a walk and the point z.
"use strict";
(() => {
  const own = (window.LatentExplorer ??= {});
  const TILES = 18; // pictures along a side
  const BUDGET = 6; // milliseconds of a frame for pictures that are still to be drawn
  // Seaborn's tab10, as in Figure 3.
  const TAB10 = "#1f77b4 #ff7f0e #2ca02c #d62728 #9467bd #8c564b #e377c2 #7f7f7f #bcbd22 #17becf".split(" ");

  own.sub = (k) => [...String(k + 1)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]).join("");
  own.colors = (labels) => {
    const hue = (i) => `hsl(${(360 * i) / labels.length} 65% 50%)`;
    return new Map(labels.map((label, i) => [label, labels.length > 10 ? hue(i) : TAB10[i]]));
  };

  own.Surface = class {
    constructor(canvas, { meta, network, codes, labels, colors }) {
      Object.assign(this, { canvas, meta, network, codes, labels, colors });
      this.shows = { pictures: true, codes: true };
      this.count = labels.length;
      this.plane = document.createElement("canvas");
      this.tiles = document.createElement("canvas");
      this.others = null; // the coordinates outside the plane that the pictures were drawn for
    }

    // Latent coordinates of the plane ↔ CSS pixels. With K = 1 dots have a row for each class.
    toPixel(z) {
      const { dims, center, half } = this.meta;
      const x = (0.5 + (z[dims[0]] - center[0]) / (2 * half)) * this.side;
      const y = dims.length > 1 ? (0.5 - (z[dims[1]] - center[1]) / (2 * half)) * this.side : 0.5 * this.side;
      return [x, y];
    }

    toCode(x, y, z) {
      const { dims, center, half } = this.meta;
      const clip = (value) => Math.min(1, Math.max(0, value));
      const moved = [...z];
      moved[dims[0]] = center[0] + (2 * clip(x / this.side) - 1) * half;
      if (dims.length > 1) moved[dims[1]] = center[1] - (2 * clip(y / this.side) - 1) * half;
      return moved;
    }

    dot(i) {
      const [x, y] = this.toPixel(this.codes.subarray(i * this.meta.latentDim, (i + 1) * this.meta.latentDim));
      if (this.meta.dims.length > 1) return [x, y];
      const labels = [...this.colors.keys()];
      const row = labels.length ? (labels.indexOf(this.labels[i]) + 0.5) / labels.length : 0.5;
      const spread = (((i * 0.618) % 1) - 0.5) * (0.7 / Math.max(1, labels.length));
      return [x, (0.08 + 0.76 * (row + spread)) * this.side];
    }

    // The held-out image whose dot is nearest to a place, or -1 where none is within `reach` CSS pixels.
    nearest(x, y, reach = Infinity) {
      let best = -1;
      for (let i = 0; i < this.count; i++) {
        const [a, b] = this.dot(i);
        const distance = Math.hypot(a - x, b - y);
        if (distance < reach) [best, reach] = [i, distance];
      }
      return best;
    }

    // Take over size and colors from the page; what was drawn before is drawn anew.
    restyle() {
      const scale = Math.min(window.devicePixelRatio || 1, 2);
      this.side = this.canvas.clientWidth;
      for (const canvas of [this.canvas, this.plane]) canvas.width = canvas.height = Math.round(this.side * scale);
      this.scale = scale;
      const style = getComputedStyle(this.canvas);
      const color = (name) => style.getPropertyValue(`--explorer-${name}`).trim();
      this.ink = { text: color("text"), paper: color("paper"), accent: color("accent"), q: color("q") };
      const probe = document.createElement("canvas").getContext("2d");
      probe.fillStyle = this.ink.text;
      const rgb = [1, 3, 5].map((at) => parseInt(probe.fillStyle.slice(at, at + 2), 16));
      if (rgb.join() !== this.rgb?.join()) this.others = null;
      this.rgb = rgb;
      this.stale = true;
    }

    // Draw pictures of the plane through z until the budget is spent; returns whether some are left.
    drawPictures(z) {
      const { dims, shape } = this.meta;
      const others = z.filter((_, k) => !dims.includes(k)).join();
      const [height, width] = shape;
      const rows = dims.length > 1 ? TILES : 1;
      if (others !== this.others) {
        this.others = others;
        this.done = 0;
        this.tiles.width = TILES * width;
        this.tiles.height = rows * height;
      }
      if (this.done === TILES * rows) return false;
      const context = this.tiles.getContext("2d");
      const start = performance.now();
      while (this.done < TILES * rows && performance.now() - start < BUDGET) {
        // 7 has no factor in common with 18 or 324: the plane fills evenly.
        const tile = (this.done++ * 7) % (TILES * rows);
        const [row, column] = [Math.floor(tile / TILES), tile % TILES];
        const place = (i) => ((i + 0.5) / TILES) * this.side;
        const mean = own.sigmoid(this.network.decode(this.toCode(place(column), place(row), z)));
        const picture = own.picture(context, width, height, mean, (value) => [...this.rgb, 115 * value]);
        context.putImageData(picture, column * width, row * height);
      }
      this.stale = true;
      return this.done < TILES * rows;
    }

    drawPlane() {
      const context = this.plane.getContext("2d");
      const side = this.side;
      context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
      context.clearRect(0, 0, side, side);
      context.fillStyle = this.ink.paper;
      context.fillRect(0, 0, side, side);
      if (this.shows.pictures) {
        const rows = this.meta.dims.length > 1 ? TILES : 1;
        const high = (side * rows) / TILES;
        context.drawImage(this.tiles, 0, side - high, side, high);
      }
      for (let i = 0; this.shows.codes && i < this.count; i++) {
        context.beginPath();
        context.arc(...this.dot(i), 3, 0, 7);
        context.fillStyle = this.colors.get(this.labels[i]) ?? this.ink.accent;
        context.fill();
        context.lineWidth = 0.75;
        context.strokeStyle = this.ink.paper;
        context.stroke();
      }
      this.drawAxes(context);
      this.stale = false;
    }

    // Which coordinate grows in which direction, and how far.
    drawAxes(context) {
      const { dims, center, half } = this.meta;
      const ends = center.map((value) => (value + half).toFixed(1).replace("-", "−"));
      const names = [[`z${own.sub(dims[0])} → ${ends[0]}`, this.side - 6, this.side - 6, "right"]];
      if (dims.length > 1) names.push([`↑ z${own.sub(dims[1])} ${ends[1]}`, 6, 16, "left"]);
      context.font = "13px sans-serif";
      context.lineJoin = "round";
      for (const [text, x, y, align] of names) {
        context.textAlign = align;
        context.lineWidth = 4;
        context.strokeStyle = this.ink.paper;
        context.strokeText(text, x, y);
        context.fillStyle = this.ink.text;
        context.fillText(text, x, y);
      }
    }

    // All of it, for a point z, the q(z|x) of an image and the ends of a walk; returns whether pictures are missing.
    draw({ z, q, walk }) {
      const missing = this.shows.pictures && this.drawPictures(z);
      if (this.stale) this.drawPlane();
      const context = this.canvas.getContext("2d");
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.drawImage(this.plane, 0, 0);
      context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
      this.drawWalk(context, walk);
      this.drawEllipses(context, q);
      const at = this.toPixel(z);
      this.outline(context, 3, this.ink.text, () => context.arc(...at, 7, 0, 7));
      return missing;
    }

    // A line with a margin of paper, so that it can be seen on anything.
    outline(context, width, color, path) {
      for (const [wide, ink] of [[width + 3, this.ink.paper], [width, color]]) {
        context.beginPath();
        path();
        context.lineWidth = wide;
        context.strokeStyle = ink;
        context.stroke();
      }
    }

    drawWalk(context, ends) {
      const [a, b] = ends.map((z) => this.toPixel(z));
      this.outline(context, 2, this.ink.text, () => {
        context.moveTo(...a);
        context.lineTo(...b);
      });
      context.font = "bold 13px sans-serif";
      context.textAlign = "center";
      context.textBaseline = "middle";
      for (const [name, [x, y]] of [["A", a], ["B", b]]) {
        const up = y < 34 ? y + 22 : y - 22; // beside its place, which the point z may be at
        context.fillStyle = this.ink.paper;
        context.fillRect(x - 9, up - 9, 18, 18);
        context.lineWidth = 1.5;
        context.strokeRect(x - 9, up - 9, 18, 18);
        context.fillStyle = this.ink.text;
        context.fillText(name, x, up + 1);
      }
    }

    // The regions that hold 50% and 95% of q(z|x) in the plane; with K = 1 the intervals.
    drawEllipses(context, { mu, sigma }) {
      const { dims, half } = this.meta;
      const at = this.toPixel(mu);
      const unit = this.side / (2 * half);
      const radii = dims.length > 1 ? [0.5, 0.05].map((left) => Math.sqrt(-2 * Math.log(left))) : [0.674, 1.96];
      for (const radius of radii) {
        const size = dims.map((k) => Math.max(radius * sigma[k] * unit, 1));
        this.outline(context, 2, this.ink.q, () => {
          if (dims.length > 1) context.ellipse(...at, size[0], size[1], 0, 0, 7);
          else context.rect(at[0] - size[0], at[1] - 14, 2 * size[0], 28);
        });
      }
    }
  };
})();
