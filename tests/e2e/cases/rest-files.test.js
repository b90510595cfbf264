'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { fixture } = require('../lib/app');
const { png, dimensions } = require('../lib/media');

const newApp = fixture(test);

/** Uploads and gives {uuid, secret, uri}. */
async function upload(app, bytes, { name = 'f.bin', type = 'application/octet-stream', restrict = true, token, fields = {}, status = 200 } = {}) {
  const form = new FormData();
  for (const [key, value] of Object.entries(fields)) form.append(key, value);
  form.append('file', new File([bytes], name, { type }));
  const answer = await fetch(`${app.base}/chatfiles`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token || (await app.token())}`, ...(restrict ? { 'restrict-access': 'true' } : {}) },
    body: form,
  });
  const body = await answer.json();
  assert.equal(answer.status, status, JSON.stringify(body));
  return { body, uuid: body.entities?.[0].uuid, secret: body.entities?.[0]['share-secret'] };
}

async function get(app, uuid, { query = '', ...headers } = {}) {
  const answer = await fetch(`${app.base}/chatfiles/${uuid}${query}`, { headers });
  return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()), headers: answer.headers };
}

test('an upload answers with the envelope that the SDKs build their URL from', async () => {
  const app = await newApp();
  const { body, uuid, secret } = await upload(app, 'hello');
  assert.equal(body.uri, `${app.base}/chatfiles`);
  assert.equal(body.path, '/chatfiles');
  assert.equal(body.entities[0].type, 'chatfile');
  assert.match(uuid, /^[0-9a-f-]{36}$/);
  assert.ok(secret.length >= 16);
});

test('a restricted file needs the secret, in the query or a header, or a token of the app', async () => {
  const [app, other] = [await newApp(), await newApp()];
  const { uuid, secret } = await upload(app, 'private');
  const refused = await get(app, uuid);
  assert.equal(refused.status, 403);
  assert.equal(JSON.parse(refused.bytes).error_description, 'chatfile no permission');
  assert.equal((await get(app, uuid, { 'share-secret': 'wrong' })).status, 403);
  assert.equal((await get(app, uuid, { authorization: `Bearer ${await other.token()}` })).status, 401);
  for (const way of [
    { query: `?em-redirect=true&share-secret=${secret}` },
    { 'share-secret': secret },
    { authorization: `Bearer ${await app.userToken('ann')}` },
  ]) {
    const got = await get(app, uuid, way);
    assert.deepEqual([got.status, got.bytes.toString()], [200, 'private']);
  }
});

test('without restrict-access the file is for whoever has the URL', async () => {
  const app = await newApp();
  const { uuid } = await upload(app, 'public', { restrict: false });
  assert.equal((await get(app, uuid)).bytes.toString(), 'public');
});

test('upload needs a token; files are not shared between apps; unknown ones are 404', async () => {
  const [app, other] = [await newApp(), await newApp()];
  const form = new FormData();
  form.append('file', new File(['x'], 'x'));
  assert.equal((await fetch(`${app.base}/chatfiles`, { method: 'POST', body: form })).status, 401);
  const { uuid, secret } = await upload(app, 'x');
  assert.equal((await get(other, uuid, { 'share-secret': secret })).status, 404);
  assert.equal((await get(app, crypto.randomUUID())).status, 404);
  for (const name of ['..%2f..%2fmeridian.db', 'x', '%00', '%ff']) assert.ok((await get(app, name)).status >= 400);
});

test('a range of a file', async () => {
  const app = await newApp();
  const bytes = crypto.randomBytes(100_000);
  const { uuid, secret } = await upload(app, bytes);
  const part = async (range) => get(app, uuid, { 'share-secret': secret, range });
  const middle = await part('bytes=1000-1999');
  assert.equal(middle.status, 206);
  assert.equal(middle.headers.get('content-range'), 'bytes 1000-1999/100000');
  assert.deepEqual(middle.bytes, bytes.subarray(1000, 2000));
  assert.deepEqual((await part('bytes=99990-')).bytes, bytes.subarray(99_990));
  assert.deepEqual((await part('bytes=-10')).bytes, bytes.subarray(99_990));
  assert.equal((await part('bytes=100000-')).status, 416);
  const whole = await get(app, uuid, { 'share-secret': secret });
  assert.deepEqual([whole.status, whole.headers.get('content-length')], [200, '100000']);
});

test('thumbnails: of the size asked at upload, of the app\'s size else, the original of what is small or no picture', async () => {
  const app = await newApp({ thumbnail_side: 100 });
  const thumb = async (file) => (await get(app, file.uuid, { query: `?share-secret=${file.secret}&thumbnail=true` })).bytes;
  const asked = await upload(app, png(400, 200), { name: 'p.png', type: 'image/png', fields: { 'thumbnail-width': '60', 'thumbnail-height': '60' } });
  const [width, height] = dimensions(await thumb(asked));
  assert.ok(Math.max(width, height) <= 60 && width > height, `${width} × ${height}`);
  const standard = await upload(app, png(400, 200), { name: 'p.png', type: 'image/png' });
  assert.equal(Math.max(...dimensions(await thumb(standard))), 100);
  const header = await get(app, standard.uuid, { 'share-secret': standard.secret, thumbnail: 'true' });
  assert.equal(Math.max(...dimensions(header.bytes)), 100);
  const small = png(8, 8);
  assert.deepEqual(await thumb(await upload(app, small, { name: 's.png', type: 'image/png' })), small);
  assert.equal((await thumb(await upload(app, 'not a picture'))).toString(), 'not a picture');
});

test('a picture that is none, or claims to be enormous, does no harm', async () => {
  const app = await newApp();
  const bomb = png(4, 4);
  bomb.writeUInt32BE(60_000, 16);
  bomb.writeUInt32BE(60_000, 20);
  const broken = Buffer.concat([png(400, 400).subarray(0, 20_000), crypto.randomBytes(20_000)]);
  for (const bytes of [Buffer.concat([bomb, Buffer.alloc(20_000)]), broken]) {
    const { uuid, secret } = await upload(app, bytes, { name: 'p.png', type: 'image/png' });
    const got = await get(app, uuid, { query: `?share-secret=${secret}&thumbnail=true` });
    assert.ok([200, 400, 404, 415].includes(got.status), `${got.status}`);
  }
  await app.ok('GET', '/users');
});

test('a file over the limit is refused: 413 to the app, code 14403 to a client', async () => {
  const app = await newApp({ file_limit: 10_000 });
  const byApp = await upload(app, Buffer.alloc(11_000), { status: 413 });
  assert.equal(typeof byApp.body.error, 'string');
  const byUser = await upload(app, Buffer.alloc(11_000), { token: await app.userToken('ann'), status: 400 });
  assert.equal(byUser.body.error_code, 14403);
  await upload(app, Buffer.alloc(9_000));
});

test('a multipart body without a file, or a broken one, is refused', async () => {
  const app = await newApp();
  const post = async (headers, body) => (await fetch(`${app.base}/chatfiles`, {
    method: 'POST', headers: { authorization: `Bearer ${await app.token()}`, ...headers }, body,
  })).status;
  const form = new FormData();
  form.append('other', 'x');
  assert.equal(await post({}, form), 400);
  assert.ok((await post({ 'content-type': 'multipart/form-data; boundary=b' }, '--b\r\nbroken')) >= 400);
  assert.ok((await post({ 'content-type': 'application/json' }, '{}')) >= 400);
});

test('uploaded HTML is never run in the server\'s name', async () => {
  const app = await newApp();
  const { uuid, secret } = await upload(app, '<script>alert(1)</script>', { name: 'x.html', type: 'text/html' });
  const { headers } = await get(app, uuid, { 'share-secret': secret });
  assert.equal(headers.get('x-content-type-options'), 'nosniff');
  assert.match(`${headers.get('content-security-policy')} ${headers.get('content-disposition')}`, /sandbox|attachment/);
});
