// The colour's dependence on the view, written into Spark's textures by us.
//
// Spark 2.2.0 packs three coefficients of one harmonic into 32 bits: 8 bits each, 3 signs, and a shared
// exponent. Its encoder (encodeExtRgb, and the same in its wasm) takes the exponent one too low, so that every
// coefficient is cut at the power of two below the largest: 0.2 becomes 0.125. Its decoder is right.

const HEADER = 16; // bytes of an SPZ: magic, version, count, degree, fraction, flags
const EACH = 9 + 1 + 3 + 3 + 4; // of a Gaussian before its harmonics: place, alpha, colour, scale, rotation
const COEFFICIENTS = [0, 3, 8, 15]; // above the constant, by degree

/** Degree, count and the bytes [count, coefficients, 3] of an SPZ of version 3; 128 is 0, a step is 1/128. */
export async function readHarmonics(gzipped) {
  const stream = new Blob([gzipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  const body = new Uint8Array(await new Response(stream).arrayBuffer());
  const header = new DataView(body.buffer, 0, HEADER);
  const [count, degree] = [header.getUint32(8, true), header.getUint8(12)];
  const start = HEADER + EACH * count;
  return { count, degree, bytes: body.subarray(start, start + 3 * COEFFICIENTS[degree] * count) };
}

/** Three steps of 1/128, -128..127, as Spark's decoder reads them. */
export function pack(r, g, b) {
  const most = Math.max(Math.abs(r), Math.abs(g), Math.abs(b));
  if (!most) return 0;
  const exponent = 32 - Math.clz32(most); // the power of two above: 1..8
  const part = (value) => Math.round((Math.abs(value) * 255) / 2 ** exponent);
  const signs = (r < 0 ? 1 : 0) | (g < 0 ? 2 : 0) | (b < 0 ? 4 : 0);
  const biased = exponent - 7 + 15;
  return (part(r) | (part(g) << 8) | (part(b) << 16) | (signs << 24) | (biased << 27)) >>> 0;
}

/** Overwrite the harmonics in Spark's ExtSplats. */
export function writeHarmonics(splats, { count, degree, bytes }) {
  if (!degree || splats.getNumSplats() !== count) return;
  const each = COEFFICIENTS[degree];
  const { sh1, sh2, sh3a, sh3b } = splats.extra;
  // four words a Gaussian in each texture: 3 harmonics of degree 1 and the first of degree 2, then the rest
  const slots = [...slotsOf(sh1, 4), ...slotsOf(sh2, 4), ...slotsOf(sh3a, 4), ...slotsOf(sh3b, 3)].slice(0, each);
  slots.forEach(([words, offset], k) => {
    for (let i = 0, from = 3 * k; i < count; i++, from += 3 * each) {
      words[4 * i + offset] = pack(bytes[from] - 128, bytes[from + 1] - 128, bytes[from + 2] - 128);
    }
  });
}

function slotsOf(words, number) {
  return words ? Array.from({ length: number }, (_, offset) => [words, offset]) : [];
}
