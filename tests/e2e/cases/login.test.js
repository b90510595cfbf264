'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { rejection } = require('../lib/sdk');
const { until } = require('../lib/wait');

const newApp = fixture(test);

test('a token logs in and onConnected is raised', async () => {
  const app = await newApp();
  const alice = app.client('alice');
  await alice.open({ accessToken: await app.userToken('alice') });
  await alice.next('onConnected');
});

test('a password logs in', async () => {
  const app = await newApp();
  await app.register('alice', 'secret1');
  const alice = app.client('alice');
  await alice.open({ pwd: 'secret1' });
  await alice.next('onConnected');
});

test('a wrong password is refused with type 1 and the documented text', async () => {
  const app = await newApp();
  await app.register('alice', 'secret1');
  const error = await rejection(app.client('alice').open({ pwd: 'wrong' }));
  assert.equal(error.type, 1);
  assert.equal(error.message, 'invalid username or password');
});

test('a password for an unknown user is refused', async () => {
  const app = await newApp();
  const error = await rejection(app.client('nobody').open({ pwd: 'x' }));
  assert.equal(error.type, 1);
  assert.match(error.message, /user not found/);
});

test('a token of a deleted user: no such user, type 204', async () => {
  const app = await newApp();
  const token = await app.userToken('alice');
  await app.ok('DELETE', '/users/alice');
  const alice = app.client('alice');
  const error = await rejection(alice.open({ accessToken: token }));
  assert.equal(error.type, 204);
  assert.equal(error.message, 'User not found');
});

test('an expired token is refused with type 56', async () => {
  const app = await newApp();
  await app.userToken('alice');
  const stale = app.dynamicToken('alice', { at: Math.floor(Date.now() / 1000) - 100, ttl: 50 });
  const error = await rejection(app.client('alice').open({ accessToken: stale }));
  assert.equal(error.type, 56);
  assert.equal(error.message, 'Sorry, token expired');
});

test('an issued token ends after its ttl', async () => {
  const app = await newApp();
  const token = await app.userToken('alice', 1);
  await until('REST refuses it', async () => (await app.call('GET', '/users/alice', { token })).status === 401);
  const error = await rejection(app.client('alice').open({ accessToken: token }));
  assert.equal(error.type, 56);
});

test("another user's token is refused with type 28", async () => {
  const app = await newApp();
  const token = await app.userToken('alice');
  await app.userToken('bob');
  const error = await rejection(app.client('bob').open({ accessToken: token }));
  assert.equal(error.type, 28);
});

test('a malformed token is refused with type 28, and so is a token of another app', async () => {
  const [app, other] = [await newApp(), await newApp()];
  await app.userToken('alice');
  for (const accessToken of ['nonsense', await other.userToken('alice'), await app.token()]) {
    const error = await rejection(app.client('alice').open({ accessToken }));
    assert.equal(error.type, 28, accessToken);
  }
});

test('a changed signature is refused', async () => {
  const app = await newApp();
  const token = await app.userToken('alice');
  const last = token.at(-2) === 'A' ? 'B' : 'A';
  const error = await rejection(app.client('alice').open({ accessToken: token.slice(0, -2) + last + token.at(-1) }));
  assert.equal(error.type, 28);
});

test('an unknown app is refused with type 2', async () => {
  const app = await newApp();
  const alice = app.client('alice', { appKey: 'no#such' });
  const error = await rejection(alice.open({ accessToken: await app.userToken('alice') }));
  assert.equal(error.type, 2);
});

test('a banned user is refused with type 57 until the ban is lifted', async () => {
  const app = await newApp();
  const token = await app.userToken('alice');
  await app.ok('POST', '/users/alice/deactivate');
  const error = await rejection(app.client('alice').open({ accessToken: token }));
  assert.equal(error.type, 57);
  const grant = await app.call('POST', '/token', { body: { grant_type: 'inherit', username: 'alice' } });
  assert.equal(grant.body.error, 'invalid_grant');
  await app.ok('POST', '/users/alice/activate');
  await app.device('alice');
});

test('one device too many is refused with type 214 where the app says so, and a closed one is not counted', async () => {
  const app = await newApp({ devices_per_platform: 2, over_limit: 'refuse' });
  const [first] = [await app.device('alice'), await app.device('alice')];
  const accessToken = await app.userToken('alice');
  const third = app.client('alice');
  assert.equal((await rejection(third.open({ accessToken }))).type, 214);
  await first.close();
  await until('the seat is free', () => third.open({ accessToken }).then(() => true, () => false));
});

test('dynamic user tokens log in, by either hash, padded or not', async () => {
  const app = await newApp();
  await app.userToken('alice');
  for (const hash of ['sha256', 'sha1']) {
    const token = app.dynamicToken('alice', { hash });
    assert.ok(token.startsWith('ZHQt'));
    await app.client('alice').open({ accessToken: token });
    await app.client('alice').open({ accessToken: token.replace(/=+$/, '') });
  }
});

test('a dynamic token with another secret, another user or no life is refused', async () => {
  const app = await newApp();
  await app.userToken('alice');
  for (const token of [
    app.dynamicToken('alice', { secret: 'guess' }),
    app.dynamicToken('bob'),
    app.dynamicToken('alice', { ttl: 0 }),
  ]) {
    const error = await rejection(app.client('alice').open({ accessToken: token }));
    assert.equal(error.type, 28);
  }
});

test('a token about to end: onTokenWillExpire, then onTokenExpired and the client leaves', async () => {
  const app = await newApp();
  await app.userToken('alice');
  const alice = app.client('alice');
  await alice.open({ accessToken: app.dynamicToken('alice', { ttl: 5 }) });
  await alice.next('onTokenWillExpire');
  await alice.next('onTokenExpired');
  await alice.next('onDisconnected');
});

test('renewToken: the new token counts, a bad one is refused', async () => {
  const app = await newApp();
  await app.userToken('alice');
  const alice = app.client('alice');
  await alice.open({ accessToken: app.dynamicToken('alice', { ttl: 6 }) });
  const renewed = await alice.conn.renewToken(await app.userToken('alice', 3600));
  assert.equal(renewed.status, true);
  assert.ok(renewed.expire > Date.now() + 3_000_000);
  await rejection(alice.conn.renewToken('nonsense'));
});

test('names are one person whatever their case', async () => {
  const app = await newApp();
  const alice = app.client('alice');
  await alice.open({ accessToken: await app.userToken('alice') }, 'Alice');
  const bob = await app.device('bob');
  const sent = await bob.text('ALICE', 'hi');
  assert.equal((await alice.next('onTextMessage')).id, sent.serverMsgId);
});

test('logging out raises onDisconnected without an error and frees the name', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  await alice.close();
  assert.equal(await alice.next('onDisconnected'), undefined);
  await until('alice is offline', async () => {
    const status = await app.ok('GET', '/users/alice/status');
    return status.data.alice === 'offline';
  });
});
