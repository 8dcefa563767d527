// The trained network in the page. Layers are eq. 20, numbers are eqs. 13, 15, 18 and 19; all in nats.
"use strict";
(() => {
  const own = (window.LatentExplorer ??= {});

  // base64 → bytes. gzip carries a CRC-32 of what it holds, so a damaged page is refused here.
  own.unpack = async (text) => {
    const packed = atob(text.trim());
    const bytes = new Uint8Array(packed.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = packed.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };

  // The arrays, in the order in which vaelib.explorer.pack wrote them.
  own.read = (buffer, meta) => {
    let at = 0;
    const take = (Kind, length) => {
      const end = at + length * Kind.BYTES_PER_ELEMENT;
      const array = new Kind(buffer.slice(at, end));
      at = end;
      return array;
    };
    const weights = (outputs, inputs) => {
      if (meta.bits === 32) return take(Float32Array, outputs * inputs);
      const high = take(Int8Array, outputs * inputs);
      const low = take(Uint8Array, outputs * inputs);
      const scale = take(Float32Array, inputs);
      const weight = new Float32Array(high.length);
      for (let i = 0, column = 0; i < weight.length; i++, column++) {
        if (column === inputs) column = 0;
        weight[i] = (256 * high[i] + low[i]) * scale[column];
      }
      return weight;
    };
    const layers = (widths) =>
      widths.slice(1).map((outputs, i) => ({ weight: weights(outputs, widths[i]), bias: take(Float32Array, outputs) }));
    const encoder = layers(meta.encoder);
    const decoder = layers(meta.decoder);
    const codes = take(Float32Array, meta.images * meta.latentDim);
    const labels = take(Int16Array, meta.images);
    const pixels = take(Uint8Array, meta.images * meta.encoder[0]);
    if (at !== buffer.byteLength) throw new Error(`${buffer.byteLength - at} bytes are left over`);
    return { network: new Network(encoder, decoder, meta.latentDim), codes, labels, pixels };
  };

  // y = Wx + b, and ReLU between layers (eq. 20).
  function forward(layers, x) {
    layers.forEach(({ weight, bias }, depth) => {
      const y = new Float32Array(bias.length);
      const inputs = x.length;
      for (let row = 0, at = 0; row < y.length; row++) {
        let sum = bias[row];
        for (let column = 0; column < inputs; column++, at++) sum += weight[at] * x[column];
        y[row] = sum < 0 && depth < layers.length - 1 ? 0 : sum;
      }
      x = y;
    });
    return x;
  }

  class Network {
    constructor(encoder, decoder, latentDim) {
      Object.assign(this, { encoder, decoder, latentDim });
    }

    // x (D) in [0, 1] → the mean and the standard deviation of q(z|x), and its KL to N(0, I) (eq. 18).
    encode(x) {
      const heads = forward(this.encoder, x);
      const mu = [...heads.subarray(0, this.latentDim)];
      const logvar = [...heads.subarray(this.latentDim)];
      const kl = mu.reduce((sum, m, k) => sum + 0.5 * (m * m + Math.expm1(logvar[k]) - logvar[k]), 0);
      return { mu, sigma: logvar.map((value) => Math.exp(value / 2)), kl };
    }

    // z (K) → logits (D).
    decode(z) {
      return forward(this.decoder, Float32Array.from(z));
    }

    // Eq. 15 with logits: x·l - log(1 + e^l), without a logarithm of zero.
    logLikelihood(x, logits) {
      let sum = 0;
      for (let i = 0; i < x.length; i++) {
        sum += x[i] * logits[i] - Math.max(logits[i], 0) - Math.log1p(Math.exp(-Math.abs(logits[i])));
      }
      return sum;
    }
  }

  // Eq. 19, and back: z = μ + σ ⊙ ε.
  own.reparameterize = ({ mu, sigma }, eps) => mu.map((m, k) => m + sigma[k] * eps[k]);
  own.noise = ({ mu, sigma }, z) => mu.map((m, k) => (z[k] - m) / sigma[k]);
  own.sigmoid = (logits) => logits.map((value) => 1 / (1 + Math.exp(-value)));

  // Pixels (D) as a picture of the given size, each in the color [red, green, blue, opacity] that its value has.
  own.picture = (context, width, height, pixels, color) => {
    const picture = context.createImageData(width, height);
    for (let i = 0; i < pixels.length; i++) {
      [picture.data[4 * i], picture.data[4 * i + 1], picture.data[4 * i + 2], picture.data[4 * i + 3]] = color(pixels[i]);
    }
    return picture;
  };
})();
