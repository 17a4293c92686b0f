// Captions to word ids: what CaptionTokenizer does in TensorFlow.

export class CaptionTokenizer {
  // `content` is the parsed tokenizer.json of the export.
  constructor(content) {
    this.maxWords = content.max_words;
    // Id 0 is padding.
    this.ids = new Map(content.words.map((word, i) => [word, i + 1]));
  }

  // Returns maxWords ids, padded with 0, the number of ids before the padding, and
  // the words without an id, which are left out.
  encode(caption) {
    const words = splitWords(caption);
    const known = words.filter((word) => this.ids.has(word));
    const ids = new Int32Array(this.maxWords);
    const length = Math.min(known.length, this.maxWords);
    for (let i = 0; i < length; i++) ids[i] = this.ids.get(known[i]);
    return {ids, length, unknown: words.filter((word) => !this.ids.has(word))};
  }
}

// Splits a caption into lower-case words of ASCII letters, digits and '_'. Accents are
// dropped, and so are letters outside ASCII; everything that is neither a letter nor a
// digit separates words.
export function splitWords(caption) {
  return caption
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/[^\p{L}\p{N}_]+/gu, ' ')
    .replace(/[^\x00-\x7f]+/g, '')
    .toLowerCase()
    .split(' ')
    .filter((word) => word);
}
