'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { fixture } = require('../lib/app');
const { png, dimensions, fileObject } = require('../lib/media');

const newApp = fixture(test);

async function pair(settings) {
  const app = await newApp(settings);
  return [app, ...(await app.online('alice', 'bob'))];
}

async function download(url) {
  const answer = await fetch(url);
  assert.equal(answer.status, 200, `${url}: ${answer.status}`);
  return Buffer.from(await answer.arrayBuffer());
}

test('an image is uploaded, arrives with its size, and downloads by the URL that the receiver is given', async () => {
  const [, alice, bob] = await pair();
  const bytes = png(300, 200);
  let uploaded;
  const sent = await alice.send('img', 'bob', {
    file: fileObject(bytes, 'p.png', 'image/png'), width: 300, height: 200, file_length: bytes.length,
    onFileUploadComplete: (data) => (uploaded = data),
  });
  const got = await bob.next('onImageMessage');
  assert.equal(got.id, sent.serverMsgId);
  assert.deepEqual([got.width, got.height, got.file_length], [300, 200, bytes.length]);
  assert.ok(uploaded.url.includes('share-secret='));
  assert.deepEqual(await download(got.url), bytes);
});

test('the thumbnail that the receiver is given is a smaller picture of the same shape', async () => {
  const [, alice, bob] = await pair();
  await alice.send('img', 'bob', {
    file: fileObject(png(400, 200), 'wide.png', 'image/png'), width: 400, height: 200, file_length: 1,
  });
  const got = await bob.next('onImageMessage');
  const [width, height] = dimensions(await download(got.thumb));
  assert.ok(width <= 170 && height <= 170, `${width} × ${height}`);
  assert.ok(Math.abs(width / height - 2) < 0.1, `${width} × ${height}`);
});

test('a file of any bytes goes through', async () => {
  const [, alice, bob] = await pair();
  const bytes = crypto.randomBytes(200_000);
  await alice.send('file', 'bob', { file: fileObject(bytes, 'data.zip', 'application/zip'), filename: 'data.zip', ext: { file_length: bytes.length } });
  const got = await bob.next('onFileMessage');
  assert.equal(got.filename, 'data.zip');
  assert.deepEqual(await download(got.url), bytes);
});

test('an audio message carries its duration', async () => {
  const [, alice, bob] = await pair();
  const bytes = crypto.randomBytes(5000);
  await alice.send('audio', 'bob', { file: fileObject(bytes, 'a.mp3', 'audio/mpeg'), filename: 'a.mp3', length: 7, file_length: bytes.length });
  const got = await bob.next('onAudioMessage');
  assert.deepEqual([got.filename, got.length], ['a.mp3', 7]);
  assert.deepEqual(await download(got.url), bytes);
});

test('a video message carries its duration', async () => {
  const [, alice, bob] = await pair();
  const bytes = crypto.randomBytes(9000);
  await alice.send('video', 'bob', { file: fileObject(bytes, 'v.mp4', 'video/mp4'), filename: 'v.mp4', length: 12, file_length: bytes.length });
  const got = await bob.next('onVideoMessage');
  assert.deepEqual([got.filename, got.length], ['v.mp4', 12]);
  assert.deepEqual(await download(got.url), bytes);
});

test('a combined message is uploaded, arrives and unpacks to the messages that were forwarded', async () => {
  const [, alice, bob] = await pair();
  const originals = [];
  for (const msg of ['first', 'second']) originals.push((await alice.text('bob', msg)).message);
  await alice.send('combine', 'bob', {
    compatibleText: 'your SDK is old', title: 'history', summary: 'two messages', messageList: originals,
    onFileUploadComplete() {},
  });
  const got = await bob.next('onCombineMessage');
  assert.deepEqual([got.title, got.summary, got.compatibleText], ['history', 'two messages', 'your SDK is old']);
  const unpacked = await bob.conn.downloadAndParseCombineMessage({ url: got.url, secret: got.secret });
  assert.deepEqual(unpacked.map((message) => message.msg), ['first', 'second']);
});

test('an image that was sent while the receiver was away downloads later', async () => {
  const [app, alice] = await pair();
  const bytes = png(120, 120);
  await alice.send('img', 'carol', { file: fileObject(bytes, 'c.png', 'image/png'), width: 120, height: 120, file_length: bytes.length });
  const carol = await app.device('carol');
  const got = await carol.next('onImageMessage');
  assert.deepEqual(await download(got.url), bytes);
});

test('a file over the limit fails at the SDK with type 101', async () => {
  const [, alice] = await pair({ file_limit: 50_000 });
  const error = await alice.send('file', 'bob', {
    file: fileObject(crypto.randomBytes(60_000), 'big.zip', 'application/zip'), filename: 'big.zip',
  }).then(() => null, (reason) => reason);
  assert.equal(error.type, 101);
});

test('a file above 7.5 MiB falls back from the part upload to the plain one', async () => {
  const [, alice, bob] = await pair();
  const bytes = crypto.randomBytes(8 * 1024 * 1024);
  await alice.send('file', 'bob', { file: fileObject(bytes, 'big.zip', 'application/zip'), filename: 'big.zip' });
  const got = await bob.next('onFileMessage');
  const back = await download(got.url);
  assert.equal(crypto.createHash('sha256').update(back).digest('hex'), crypto.createHash('sha256').update(bytes).digest('hex'));
});

test('the SDK downloads as a blob with utils.download', async () => {
  const { sdk } = require('../lib/sdk');
  const [, alice, bob] = await pair();
  const bytes = crypto.randomBytes(3000);
  await alice.send('file', 'bob', { file: fileObject(bytes, 'd.bin', 'application/zip'), filename: 'd.bin' });
  const got = await bob.next('onFileMessage');
  const blob = await new Promise((resolve, reject) => {
    sdk.utils.download.call(bob.conn, {
      url: got.url, secret: got.secret, headers: { Accept: 'application/octet-stream' },
      onFileDownloadComplete: resolve, onFileDownloadError: reject,
    });
  });
  assert.deepEqual(Buffer.from(await blob.arrayBuffer()), bytes);
});
