'use strict';
// Tokens, errors, limits and the other things that hold for every route.
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');

const newApp = fixture(test);
const said = ({ status, body }) => [status, body.error, body.error_description];

test('the grants and their answers', async () => {
  const app = await newApp();
  await app.register('ann', 'pw');
  const grant = (body, token = null) => app.ok('POST', '/token', { token, body });
  const forApp = await grant({ grant_type: 'client_credentials', client_id: app.clientId, client_secret: app.clientSecret });
  assert.equal(forApp.application.length, 36);
  assert.equal(forApp.expires_in, 5184000);
  const forUser = await grant({ grant_type: 'password', username: 'ann', password: 'pw', timestamp: 1, ttl: '120' });
  assert.equal(forUser.expires_in, 120);
  assert.deepEqual([forUser.user.username, forUser.user.type, forUser.user.activated], ['ann', 'user', true]);
  const inherited = await grant({ grant_type: 'inherit', username: 'ann', ttl: 60 }, await app.token());
  assert.equal(inherited.user.username, 'ann');
  const made = await grant({ grant_type: 'inherit', username: 'new', autoCreateUser: true }, await app.token());
  assert.equal(made.user.username, 'new');
});

test('refused grants say why', async () => {
  const app = await newApp();
  await app.register('ann', 'pw');
  const grant = async (body, token = null) => said(await app.call('POST', '/token', { token, body }));
  const client = { grant_type: 'client_credentials', client_id: app.clientId, client_secret: app.clientSecret };
  assert.deepEqual(await grant({ ...client, client_secret: 'x' }), [400, 'invalid_grant', 'client_secret does not match']);
  assert.deepEqual(await grant({ ...client, client_id: 'x' }), [400, 'invalid_grant', 'client_id does not match']);
  assert.deepEqual(await grant({ grant_type: 'password', username: 'ann', password: 'no' }), [400, 'invalid_grant', 'invalid username or password']);
  assert.deepEqual(await grant({ grant_type: 'password', username: 'who', password: 'no' }), [404, 'invalid_grant', 'user not found']);
  assert.equal((await grant({ grant_type: 'inherit', username: 'ann' }))[0], 401);
  assert.deepEqual(await grant({ grant_type: 'inherit', username: 'who' }, await app.token()), [404, 'entity_not_found', 'User null not found']);
  assert.equal((await grant({ grant_type: 'inherit', username: 'a b', autoCreateUser: true }, await app.token()))[1], 'illegal_argument');
  assert.equal((await grant({ grant_type: 'witchcraft' }))[0], 400);
});

test('bearer errors: none, corrupt, another app\'s, a user where the app is wanted', async () => {
  const [app, other] = [await newApp(), await newApp()];
  await app.userToken('ann');
  const get = async (token) => said(await app.call('GET', '/users', { token }));
  assert.deepEqual(await get(null), [401, 'unauthorized', 'Unable to authenticate due to expired access token']);
  assert.deepEqual(await get('nonsense'), [401, 'auth_bad_access_token', 'Unable to authenticate due to corrupt access token']);
  assert.equal((await get(await other.token()))[0], 401);
  assert.deepEqual(await get(await app.userToken('ann')), [401, 'unauthorized', 'Unable to authenticate (OAuth)']);
});

test('an error has the documented envelope', async () => {
  const app = await newApp();
  const { body, headers } = await app.call('GET', '/users/nobody');
  assert.match(headers.get('content-type'), /application\/json/);
  for (const field of ['error', 'exception', 'error_description']) assert.equal(typeof body[field], 'string');
  for (const field of ['timestamp', 'duration']) assert.equal(typeof body[field], 'number');
});

test('an unknown app, an unknown path and a wrong method', async () => {
  const app = await newApp();
  const answer = await fetch(`${app.server.rest}/no/such/users/x`);
  assert.equal(answer.status, 404);
  assert.equal((await answer.json()).error, 'organization_application_not_found');
  const path = await app.call('GET', '/no/such/path/at/all');
  assert.ok(path.status >= 400 && path.status !== 501, `${path.status}`);
  assert.equal(typeof path.body.error, 'string');
  const method = await app.call('PATCH', '/users/ann');
  assert.equal(method.status, 405);
});

test('a documented route that is not built yet answers 501 in the error shape', async () => {
  const app = await newApp();
  const { status, body } = await app.call('GET', '/callbacks/storage/info');
  assert.equal(status, 501);
  for (const field of ['error', 'exception', 'error_description']) assert.equal(typeof body[field], 'string');
  assert.equal(typeof body.timestamp, 'number');
});

test('bodies that are not JSON, or not an object, are refused with json_parse', async () => {
  const app = await newApp();
  for (const raw of ['{broken', '', 'null', '"text"', '{"a":1}trailing', Buffer.from('7b22ff223a317d', 'hex')]) {
    const { status, body } = await app.call('POST', '/users', { raw, headers: { 'content-type': 'application/json' } });
    assert.equal(status, 400, String(raw));
    assert.equal(typeof body.error, 'string');
  }
});

test('a body is read as JSON whatever its content type', async () => {
  const app = await newApp();
  await app.ok('POST', '/users', { raw: '{"username":"ann","password":"x"}', headers: { 'content-type': 'text/plain' } });
});

test('JSON that nests without end is refused, not followed', async () => {
  const app = await newApp();
  const deep = '['.repeat(2000) + ']'.repeat(2000);
  const { status } = await app.call('POST', '/users', { raw: `{"username":"ann","password":"x","nickname":${deep}}` });
  assert.equal(status, 400);
  await app.ok('GET', '/users');
});

test('a body over 5 KB is refused with 413', async () => {
  const app = await newApp();
  const { status, body } = await app.call('PUT', '/users/ann/password', { body: { newpassword: 'x'.repeat(6000) } });
  assert.equal(status, 413);
  assert.equal(body.error, 'Request Entity Too Large');
});

test('the preflight of a browser is answered without a token, and answers bear the CORS headers', async () => {
  const app = await newApp();
  const preflight = await fetch(`${app.base}/chatfiles`, {
    method: 'OPTIONS',
    headers: {
      origin: 'http://page.example', 'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type,restrict-access,share-secret,x-requested-with',
    },
  });
  assert.ok([200, 204].includes(preflight.status));
  assert.ok(['*', 'http://page.example'].includes(preflight.headers.get('access-control-allow-origin')));
  const allowed = preflight.headers.get('access-control-allow-headers').toLowerCase();
  for (const name of ['authorization', 'content-type', 'restrict-access', 'share-secret', 'x-requested-with']) {
    assert.ok(allowed.includes(name) || allowed === '*', name);
  }
  for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
    assert.ok(preflight.headers.get('access-control-allow-methods').includes(method));
  }
  for (const where of ['/users/nobody', '/chatfiles/00000000-0000-0000-0000-000000000000']) {
    const answer = await app.call('GET', where, { headers: { origin: 'http://page.example' } });
    assert.ok(answer.headers.get('access-control-allow-origin'), where);
  }
});

test('too many calls a second are refused with 429, and only those of this app', async () => {
  const [app, other] = [await newApp({ rate_factor: 1 }), await newApp({ rate_factor: 1 })];
  await app.userToken('ann');
  const token = await app.token();
  const answers = await Promise.all(Array.from({ length: 400 }, () => app.call('GET', '/users/ann', { token })));
  const statuses = new Set(answers.map((answer) => answer.status));
  assert.deepEqual([...statuses].sort(), [200, 429]);
  const refused = answers.find((answer) => answer.status === 429);
  assert.deepEqual([refused.body.error, refused.body.error_description], ['reach_limit', 'This request has reached api limit']);
  assert.equal((await other.call('GET', '/users')).status, 200);
});

test('the end of a token can be asked for', async () => {
  const app = await newApp();
  const token = await app.userToken('ann', 3600);
  const { expire_timestamp: end } = await app.ok('GET', '/sdk/users/ann/token/expires', { token });
  assert.ok(Math.abs(end - Date.now() - 3_600_000) < 10_000);
});

test('health and readiness are on the door, metrics on the admin port', async () => {
  const app = await newApp();
  await app.online('ann');
  assert.equal((await fetch(`${app.server.rest}/healthz`)).status, 200);
  assert.equal((await fetch(`${app.server.rest}/readyz`)).status, 200);
  assert.notEqual((await fetch(`${app.server.rest}/metrics`)).status, 200);
  assert.match(await app.server.metrics(), /^# TYPE \w+ (counter|gauge|histogram|summary)/m);
});
