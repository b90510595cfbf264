'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { rejection } = require('../lib/sdk');

const newApp = fixture(test);

async function thrownOut(client, type) {
  const error = await client.next('onDisconnected');
  assert.equal(error?.type, type);
  return error;
}

test('the same device logging in again replaces the first, which is told so and stays away', async () => {
  const app = await newApp();
  const first = await app.device('alice', { deviceId: 'phone' });
  const second = await app.device('alice', { deviceId: 'phone' });
  await thrownOut(first, 206);
  assert.equal(first.seen('onReconnecting').length, 0);
  await second.text('alice', 'still here');
  assert.equal(second.seen('onDisconnected').length, 0);
});

test('over the limit of one device the first is told who came, with its login extension', async () => {
  const app = await newApp({ devices_per_platform: 1 });
  const first = await app.device('alice');
  const second = app.client('alice');
  second.conn.setLoginInfoCustomExt('{"from":"desk"}');
  await second.open({ accessToken: await app.userToken('alice') });
  const error = await thrownOut(first, 206);
  assert.equal(error.data.loginInfoCustomExt, '{"from":"desk"}');
});

test('of several devices the one that logged in first goes', async () => {
  const app = await newApp({ devices_per_platform: 2 });
  const first = await app.device('alice');
  const second = await app.device('alice');
  await app.device('alice');
  await thrownOut(first, 206);
  assert.equal(second.seen('onDisconnected').length, 0);
});

test('platforms are counted apart', async () => {
  const app = await newApp({ devices_per_platform: 1 });
  const web = await app.device('alice');
  const android = await app.raw('alice', { osType: 1 });
  await app.raw('alice', { osType: 0 });
  await app.raw('alice', { osType: 1 });
  await android.closing();
  assert.equal(web.seen('onDisconnected').length, 0);
});

test('a custom platform is one of its own', async () => {
  const app = await newApp({ devices_per_platform: 1 });
  const web = await app.device('alice');
  await app.device('alice', { customOSPlatform: 7, customDeviceName: 'kiosk' });
  const { data } = await app.ok('GET', '/users/alice/resources');
  assert.equal(data.length, 2);
  assert.ok(data.some((device) => device.res.startsWith('custom7_')));
  assert.equal(web.seen('onDisconnected').length, 0);
});

test('REST throws all devices out: 217', async () => {
  const app = await newApp();
  const devices = [await app.device('alice'), await app.device('alice')];
  assert.deepEqual((await app.ok('GET', '/users/alice/disconnect')).data, { result: true });
  for (const device of devices) await thrownOut(device, 217);
});

test('REST throws one device out: 217, the other stays', async () => {
  const app = await newApp();
  const [phone, desk] = [await app.device('alice'), await app.device('alice')];
  await app.ok('DELETE', `/users/alice/disconnect/${phone.resource}`);
  await thrownOut(phone, 217);
  const [bob] = await app.online('bob');
  await bob.text('alice', 'x');
  await desk.next('onTextMessage');
});

test('a new password throws all devices out: 216, and old tokens are dead', async () => {
  const app = await newApp();
  await app.register('alice', 'old-pass');
  const token = await app.userToken('alice');
  const alice = app.client('alice');
  await alice.open({ accessToken: token });
  await app.ok('PUT', '/users/alice/password', { body: { newpassword: 'new-pass' } });
  await thrownOut(alice, 216);
  assert.equal((await rejection(app.client('alice').open({ accessToken: token }))).type, 28);
  assert.equal((await app.call('GET', '/users/alice', { token })).status, 401);
  assert.equal((await rejection(app.client('alice').open({ pwd: 'old-pass' }))).type, 1);
  await app.client('alice').open({ pwd: 'new-pass' });
});

test('a ban throws all devices out: 207', async () => {
  const app = await newApp();
  const devices = [await app.device('alice'), await app.device('alice')];
  await app.ok('POST', '/users/alice/deactivate');
  for (const device of devices) await thrownOut(device, 207);
});

test('deleting the user throws all devices out: 207', async () => {
  const app = await newApp();
  const alice = await app.device('alice');
  await app.ok('DELETE', '/users/alice');
  await thrownOut(alice, 207);
});

test('messages to a banned user are kept until the ban is lifted', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice', 'bob');
  await app.ok('POST', '/users/bob/deactivate');
  const sent = await alice.text('bob', 'for later');
  await app.ok('POST', '/users/bob/activate');
  const bob = await app.device('bob');
  assert.equal((await bob.next('onTextMessage')).id, sent.serverMsgId);
});

test('a kick is one statistics item with the last word, then the close', async () => {
  const app = await newApp({ devices_per_platform: 1 });
  const first = await app.raw('alice');
  await app.raw('alice', { reason: 'dev-ext' });
  await first.closing();
  const last = first.frames.all().at(-1);
  assert.equal(last.command, 0);
  assert.equal(last.body.isLast, true);
  assert.ok(last.body.status);
  const [meta] = last.body.metas;
  assert.deepEqual([meta.ns ?? 0, meta.statistics.operation, meta.statistics.reason], [0, 2, 'dev-ext']);
});
