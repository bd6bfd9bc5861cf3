/** CRC-32 as of zlib and PNG: reflected polynomial 0xEDB88320. */
function makeTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c;
  });
}

/** The checksum of some bytes, in one or several parts, as eight hexadecimal digits. */
export function crc32(...parts: readonly Uint8Array[]): string {
  const table = makeTable();
  let c = 0xffffffff;
  for (const bytes of parts) for (const byte of bytes) c = table[(c ^ byte) & 0xff] ^ (c >>> 8);
  return ((c ^ 0xffffffff) >>> 0).toString(16).padStart(8, '0');
}
