// One live surface: what the reader does moves z or changes x; everything that is shown follows from the two.
"use strict";
(() => {
  const own = (window.LatentExplorer ??= {});
  const STRIP = 9; // pictures along a walk
  const number = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=0\.0*$)/, "").replace("-", "−");
  const { sub } = own;
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  class Explorer {
    constructor(root, meta, content) {
      Object.assign(this, { root, meta, ...content });
      this.size = meta.shape[0] * meta.shape[1];
      const labels = Object.keys(meta.classes).map(Number);
      this.surface = new own.Surface(this.find(".plane"), { ...this, colors: own.colors(labels) });
      this.sheet = new own.Sheet(this.find(".image"), meta.shape, (pixels, what) => this.look(pixels, what));
      this.take(0);
      const other = this.labels.findIndex((label) => label !== this.labels[0]);
      this.walk = [this.z, this.heldout(Math.max(other, this.labels.length > 1 ? 1 : 0)).q.mu];
      this.controls();
      own.listen(this);
      this.restyle();
    }

    find(selector) {
      return this.root.querySelector(selector);
    }

    // A held-out image with its q(z|x).
    heldout(i) {
      const pixels = Float32Array.from(this.pixels.subarray(i * this.size, (i + 1) * this.size), (byte) => byte / 255);
      const name = this.meta.classes[this.labels[i]];
      return { pixels, q: this.network.encode(pixels), index: i, what: `held-out image ${i + 1}${name ? `: ${name}` : ""}` };
    }

    take(i) {
      const n = this.labels.length;
      this.x = this.heldout((i + n) % n);
      this.moveTo(this.x.q.mu);
    }

    // An image that the reader drew or opened.
    look(pixels, what) {
      this.x = { pixels, q: this.network.encode(pixels), index: this.x.index, what };
      this.moveTo(this.x.q.mu);
    }

    moveTo(z) {
      this.z = [...z];
      this.refresh();
    }

    // Show a dot under the mouse for as long as it is there; -1 for none.
    hover(i) {
      if (i === (this.hovered?.index ?? -1)) return;
      this.hovered = i < 0 ? null : this.heldout(i);
      this.refresh();
    }

    // Eq. 13 with one draw: everything that is said about an image at z, in nats.
    terms(x, z) {
      const logits = this.network.decode(z);
      const logLikelihood = this.network.logLikelihood(x.pixels, logits);
      return { logits, logLikelihood, kl: x.q.kl, elbo: logLikelihood - x.q.kl };
    }

    controls() {
      const { dims, active, latentDim, nats, classes, reach } = this.meta;
      const slider = (k, letter, limit, detail, changed) => {
        const label = document.createElement("label");
        label.className = "slider";
        label.innerHTML = `<span></span><input type="range" min="${-limit}" max="${limit}" step="0.01"><output></output>`;
        label.firstChild.textContent = `${letter}${sub(k)}${detail}`;
        const [, input, output] = label.children;
        input.addEventListener("input", () => changed(Number(input.value)));
        return { k, label, input, output };
      };
      this.noise = dims.map((k) =>
        slider(k, "ε", 3, "", (value) => {
          const eps = own.noise(this.x.q, this.z);
          eps[k] = value;
          this.moveTo(own.reparameterize(this.x.q, eps));
        }),
      );
      this.axes = (latentDim > 2 ? active : []).map((k) =>
        slider(k, "z", Math.ceil(reach), ` (${number(nats[k], 1)} nats)`, (value) => {
          this.moveTo(this.z.map((own, i) => (i === k ? value : own)));
        }),
      );
      for (const name of [".image", ".mean"]) own.fit(this.find(name), this.meta.shape);
      this.find(".strip").style.aspectRatio = STRIP * this.find(".mean").style.aspectRatio.split("/")[0];
      this.find(".noise").append(...this.noise.map(({ label }) => label));
      this.find(".axes").append(...this.axes.map(({ label }) => label));
      for (const [label, color] of this.surface.colors) {
        const item = document.createElement("li");
        item.innerHTML = "<i></i>";
        item.firstChild.style.background = color;
        item.append(classes[label]);
        this.find(".legend").append(item);
      }
    }

    // At once: a canvas of another size is empty.
    restyle() {
      this.surface.restyle();
      if (this.render()) this.refresh();
    }

    // Draw once before the next frame, whatever happens until then.
    refresh() {
      this.waiting ??= requestAnimationFrame(() => {
        this.waiting = null;
        if (this.render()) this.refresh();
      });
    }

    // Everything on the screen from x and z; returns whether pictures of the plane are missing.
    render() {
      const x = this.hovered ?? this.x;
      const z = this.hovered ? x.q.mu : this.z;
      const terms = this.terms(x, z);
      own.paint(this.find(".mean"), this.meta.shape, own.sigmoid(terms.logits));
      this.sheet.show(x.pixels);
      this.find(".what").textContent = x.what;
      const shown = [terms.logLikelihood, terms.kl, terms.elbo].map((value) => number(value, 1));
      this.root.querySelectorAll(".equation b").forEach((place, i) => (place.textContent = shown[i]));
      this.showNoise(x.q, z);
      for (const { k, input, output } of this.axes) [input.value, output.value] = [z[k], number(z[k])];
      this.drawStrip();
      this.announce(x, z, terms);
      return this.surface.draw({ z, q: x.q, walk: this.walk });
    }

    // Eq. 19 written out for the dimensions of the plane; far from q(z|x) the slider stands at its end.
    showNoise(q, z) {
      const eps = own.noise(q, z);
      for (const { k, input, output } of this.noise) {
        input.value = eps[k];
        const [mu, sigma] = [number(q.mu[k]), number(q.sigma[k], 3)];
        output.value = `z${sub(k)} = μ + σ ε = ${mu} + ${sigma} · ${number(eps[k])} = ${number(z[k])}`;
        input.setAttribute("aria-valuetext", output.value);
      }
    }

    drawStrip() {
      const ends = this.walk.flat().join();
      if (ends === this.drawn) return;
      this.drawn = ends;
      const canvas = this.find(".strip");
      const [height, width] = this.meta.shape;
      canvas.width = STRIP * width;
      canvas.height = height;
      for (let i = 0; i < STRIP; i++) {
        const mean = own.sigmoid(this.network.decode(this.between(i / (STRIP - 1))));
        own.paint(canvas, this.meta.shape, mean, i * width);
      }
    }

    between(t) {
      const [a, b] = this.walk;
      return a.map((value, k) => value + t * (b[k] - value));
    }

    stroll(on) {
      const button = this.find('[data-do="walk"]');
      const input = this.find("[data-walk]");
      const start = performance.now();
      this.strolling = on;
      button.setAttribute("aria-pressed", String(on));
      button.textContent = on ? "Stop" : "Walk";
      if (on && still.matches) {
        // Reduced motion: a picture at a time, by the reader's own hand.
        const next = Number(input.value) + 1 / (STRIP - 1);
        this.step(next > 1.001 ? 0 : next);
        return this.stroll(false);
      }
      const frame = (now) => {
        if (!this.strolling) return;
        const t = Math.max(0, now - start) / 4000;
        this.step(Math.min(t, 1));
        if (t < 1) requestAnimationFrame(frame);
        else this.stroll(false);
      };
      if (on) requestAnimationFrame(frame);
    }

    step(t) {
      this.find("[data-walk]").value = t;
      this.moveTo(this.between(t));
    }

    // For ears, once the hand rests.
    announce(x, z, terms) {
      const { dims } = this.meta;
      const at = dims.map((k) => `z${k + 1} ${number(z[k])}`).join(", ");
      const [likelihood, kl, elbo] = [terms.logLikelihood, terms.kl, terms.elbo].map((value) => number(value, 1));
      const text = `${x.what}. ${at}. Log-likelihood ${likelihood}, KL ${kl}, ELBO ${elbo} nats.`;
      if (text === this.text) return;
      this.text = text;
      this.find(".equation").setAttribute("aria-label", text);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => (this.find(".said").textContent = text), 400);
    }
  }

  async function start(root) {
    root.dataset.state = "starting";
    try {
      const meta = JSON.parse(root.querySelector(".meta").textContent);
      const content = own.read(await own.unpack(root.querySelector(".content").textContent), meta);
      root.querySelector(".live").hidden = false;
      root.explorer = new Explorer(root, meta, content);
      root.querySelector(".still").hidden = true;
      root.dataset.ready = Math.round(performance.now()); // milliseconds since the page was asked for
      root.dataset.state = "live";
    } catch (error) {
      root.querySelector(".live").hidden = true;
      root.querySelector(".why").textContent = `The live surface did not start, because its data are damaged or this browser lacks what it needs (${error}).`;
      root.dataset.state = "failed";
    }
  }

  document.querySelectorAll(".latent-explorer:not([data-state])").forEach(start);
})();
