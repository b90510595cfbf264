'use strict';
// Pictures and other bytes to upload, made here so that no binary lies in the repository.

const crypto = require('node:crypto');
const zlib = require('node:zlib');

function chunk(type, data) {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const named = Buffer.concat([Buffer.from(type), data]);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(zlib.crc32 ? zlib.crc32(named) : crc32(named));
  return Buffer.concat([length, named, check]);
}

function crc32(bytes) {
  let value = ~0;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value >>> 0;
}

/** A PNG of noise over a colour: too large to be its own thumbnail from about 60 × 60 on. */
function png(width, height, [red, green, blue] = [200, 40, 40]) {
  const noise = crypto.randomBytes(width * height);
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = y * (width * 3 + 1) + 1 + x * 3;
      const shade = noise[y * width + x] & 31;
      rows[at] = Math.max(0, red - shade);
      rows[at + 1] = Math.min(255, green + shade);
      rows[at + 2] = blue;
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', zlib.deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

/** Width and height of a PNG, JPEG, GIF or WebP, from its header. */
function dimensions(bytes) {
  if (bytes.subarray(1, 4).toString() === 'PNG') return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    for (let at = 2; at < bytes.length; at += 2 + bytes.readUInt16BE(at + 2)) {
      const marker = bytes[at + 1];
      if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
        return [bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5)];
      }
    }
  }
  throw new Error(`not a picture: ${bytes.subarray(0, 16).toString('hex')}`);
}

/** What the SDK takes as `file`. */
function fileObject(bytes, filename, filetype) {
  const data = new File([bytes], filename, { type: filetype });
  return { data, filename, filetype: filename.split('.').pop(), url: `blob:nodedata:${filename}` };
}

module.exports = { png, dimensions, fileObject };
