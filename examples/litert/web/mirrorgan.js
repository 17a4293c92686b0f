// Images of captions with LiteRT.js, in the browser alone.

import {loadAndCompile, loadLiteRt, Tensor} from '@litertjs/core';
import {CaptionTokenizer} from './tokenizer.js';

export class MirrorGAN {
  // Loads model.tflite and tokenizer.json from `folder`, and LiteRT's WebAssembly
  // files from `wasmFolder`; both are URLs.
  static async load(folder, wasmFolder) {
    await loadLiteRt(wasmFolder);
    const model = await loadAndCompile(`${folder}/model.tflite`, {accelerator: 'wasm'});
    const content = await (await fetch(`${folder}/tokenizer.json`)).json();
    return new MirrorGAN(model, new CaptionTokenizer(content));
  }

  constructor(model, tokenizer) {
    this.model = model;
    this.tokenizer = tokenizer;
    const details = model.getInputDetails().find(({name}) => name.includes('noise'));
    this.noiseDim = details.shape[1];
  }

  // Returns the image of a caption as ImageData. `noise`: a Float32Array of noiseDim
  // normal numbers, such as normalNoise(noiseDim, seed).
  async generate(caption, noise) {
    const {ids, length} = this.tokenizer.encode(caption);
    const inputs = {
      ids: new Tensor(ids, [1, ids.length]),
      lengths: new Tensor(new Int32Array([length]), [1]),
      noise: new Tensor(noise, [1, noise.length]),
    };
    const outputs = await this.model.run(inputs);
    const values = outputs.image.toTypedArray();
    const image = toImageData(values);
    for (const tensor of [...Object.values(inputs), outputs.image]) tensor.delete();
    return image;
  }
}

// Normal numbers that a seed determines (not those of the Python package).
export function normalNoise(count, seed) {
  const random = mulberry32(seed);
  // Box and Muller's method; 1 - random() is never 0.
  return Float32Array.from({length: count}, () =>
    Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}

// Tommy Ettinger's generator of uniform numbers in [0, 1).
function mulberry32(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

// From values in [-1, 1], row by row, three a pixel.
function toImageData(values) {
  const size = Math.sqrt(values.length / 3);
  const image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    for (let channel = 0; channel < 3; channel++) {
      // ImageData rounds and clips.
      image.data[4 * i + channel] = (values[3 * i + channel] + 1) * 127.5;
    }
    image.data[4 * i + 3] = 255;
  }
  return image;
}
