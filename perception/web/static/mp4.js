// The little of MP4 (ISO 14496-12) that is needed here: one coded picture out of its fragment.

const text = (data, at) => String.fromCharCode(data[at], data[at + 1], data[at + 2], data[at + 3]);
const uint32 = (data, at) =>
  ((data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3]) >>> 0;

/** Return the coded picture of a fragment (moof, mdat). */
export function sampleOf(fragment) {
  let at = 0;
  while (at + 8 <= fragment.length) {
    let size = uint32(fragment, at);
    let head = 8;
    if (size === 1) {
      size = uint32(fragment, at + 12);
      head = 16;
    }
    if (size < head) return null;
    if (text(fragment, at + 4) === "mdat") return fragment.subarray(at + head, at + size);
    at += size;
  }
  return null;
}

/** Return codec string and decoder configuration record of a header (ftyp, moov); null: unknown. */
export function configOf(header) {
  for (let at = 4; at + 8 < header.length; at++) {
    const name = text(header, at);
    if (name === "avcC") {
      const record = header.slice(at + 4, at - 4 + uint32(header, at - 4));
      const hex = [...record.subarray(1, 4)].map((v) => v.toString(16).padStart(2, "0")).join("");
      return { codec: `avc1.${hex}`, description: record };
    }
    if (name === "hvcC") return hevc(header.slice(at + 4, at - 4 + uint32(header, at - 4)));
  }
  return null;
}

/** Return the codec string of HEVC (ISO 14496-15, annex E). */
function hevc(record) {
  const profile = record[1] & 31;
  const tier = record[1] & 32 ? "H" : "L";
  const reversed = [...Array(32).keys()].reduce(
    (sum, bit) => sum + ((record[2 + (bit >> 3)] >> (7 - (bit & 7))) & 1) * 2 ** bit, 0);
  const constraints = [...record.subarray(6, 12)];
  while (constraints.length && constraints.at(-1) === 0) constraints.pop();
  const parts = constraints.map((value) => value.toString(16));
  const codec = [`hvc1.${profile}`, reversed.toString(16), `${tier}${record[12]}`, ...parts];
  return { codec: codec.join("."), description: record };
}
