'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');

const newApp = fixture(test);

test('an online-only message reaches who is connected', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'now', { deliverOnlineOnly: true });
  assert.equal((await bob.next('onTextMessage')).id, sent.serverMsgId);
});

test('an online-only message is not kept for who is away', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  await alice.text('bob', 'missed', { deliverOnlineOnly: true });
  const kept = await alice.text('bob', 'kept');
  const bob = await app.device('bob');
  await bob.next('onTextMessage', (message) => message.id === kept.serverMsgId);
  assert.equal(bob.seen('onTextMessage').length, 1);
});

test("own messages are mirrored to the sender's other devices, not to the sender itself", async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const other = await app.device('alice');
  const sent = await alice.text('bob', 'mirrored');
  const got = await other.next('onTextMessage');
  assert.deepEqual([got.id, got.from, got.to, got.msg], [sent.serverMsgId, 'alice', 'bob', 'mirrored']);
  await bob.text('alice', 'marker');
  await alice.next('onTextMessage', (message) => message.msg === 'marker');
  assert.equal(alice.seen('onTextMessage').length, 1, 'the sender got its own message');
});

test('messages to oneself go to the other own devices, naming the device', async () => {
  const app = await newApp();
  const [phone, desk] = [await app.device('alice'), await app.device('alice')];
  const sent = await phone.text('alice', 'note to self');
  const got = await desk.next('onTextMessage');
  assert.equal(got.id, sent.serverMsgId);
  assert.equal(got.from, `alice/${phone.resource}`);
  await desk.text('alice', 'back');
  await phone.next('onTextMessage', (message) => message.msg === 'back');
  assert.equal(phone.seen('onTextMessage').length, 1);
});

test('a message addressed to one device reaches that device only', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  const [phone, desk] = [await app.device('bob'), await app.device('bob')];
  await alice.text(`bob/${phone.resource}`, 'for the phone');
  const marker = await alice.text('bob', 'for both');
  const got = await phone.next('onTextMessage');
  assert.equal(got.msg, 'for the phone');
  assert.equal(got.to, `bob/${phone.resource}`);
  await desk.next('onTextMessage', (message) => message.id === marker.serverMsgId);
  assert.deepEqual(desk.seen('onTextMessage').map((message) => message.msg), ['for both']);
});

test('a message to an own other device by its resource reaches it', async () => {
  const app = await newApp();
  const devices = [await app.device('alice'), await app.device('alice'), await app.device('alice')];
  await devices[0].text(`alice/${devices[1].resource}`, 'psst');
  await devices[0].text('alice', 'all');
  assert.equal((await devices[1].next('onTextMessage')).msg, 'psst');
  await devices[2].next('onTextMessage', (message) => message.msg === 'all');
  assert.equal(devices[2].seen('onTextMessage').length, 1);
});

test('Meta.to has no device unless one was addressed, and Meta.from has the sender\'s', async () => {
  const app = await newApp();
  const [alice, bob] = [await app.raw('alice'), await app.raw('bob')];
  await alice.text('bob', 'x');
  const { metas: [meta] } = await bob.delivery('alice');
  assert.equal(meta.to.clientResource ?? '', '');
  assert.equal(meta.from.clientResource, alice.resource);
  assert.equal(meta.from.name, 'alice');
});

test('live messages say online, waiting ones offline', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  await alice.text('bob', 'waiting');
  const bob = await app.device('bob');
  assert.equal((await bob.next('onTextMessage')).onlineState, 0);
  await alice.text('bob', 'live');
  assert.equal((await bob.next('onTextMessage', (message) => message.msg === 'live')).onlineState, 1);
});

test('every device of a user gets a message once', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  const devices = [await app.device('bob'), await app.device('bob'), await app.device('bob')];
  const ids = [];
  for (let n = 0; n < 20; n += 1) ids.push((await alice.text('bob', `${n}`)).serverMsgId);
  for (const device of devices) {
    const got = await device.count('onTextMessage', 20);
    assert.deepEqual(got.map((message) => message.id), ids);
  }
});

test('the ext of the item (Meta.ext) is passed on', async () => {
  const app = await newApp();
  const [alice, bob] = [await app.raw('alice'), await app.raw('bob')];
  const ext = [{ key: 'chatroom_msg_tag', type: 2, varintValue: '1' }];
  await alice.text('bob', 'x', { ext });
  const { metas: [meta] } = await bob.delivery('alice');
  assert.deepEqual(meta.ext, ext);
});

test('all devices on both sides agree on the order of a conversation', async () => {
  const app = await newApp();
  const [alice, bob] = [await app.raw('alice'), await app.raw('bob')];
  const watchers = [(await app.raw('alice')).autoAcknowledge(), (await app.raw('bob')).autoAcknowledge()];
  const ids = [];
  for (let n = 0; n < 200; n += 1) {
    ids.push([alice, alice.submitText('bob', `a${n}`)], [bob, bob.submitText('alice', `b${n}`)]);
  }
  for (const [raw, id] of ids) assert.equal((await raw.answer(id)).status.errorCode ?? 0, 0);
  const orders = [];
  for (const watcher of watchers) {
    await watcher.receive(400, 30_000);
    orders.push(watcher.items().map((meta) => meta.id));
  }
  assert.deepEqual(orders[0], orders[1]);
});

test('what starts after an acknowledgement is ordered after it, whoever sends', async () => {
  const app = await newApp();
  const [alice, bob] = [await app.raw('alice'), await app.raw('bob')];
  const watcher = (await app.raw('alice')).autoAcknowledge();
  const sent = [];
  for (let n = 0; n < 40; n += 1) {
    const [from, to] = n % 2 ? [alice, 'bob'] : [bob, 'alice'];
    sent.push((await from.text(to, `${n}`)).serverId);
  }
  const items = await watcher.receive(40);
  assert.deepEqual(items.map((meta) => meta.id), sent);
});
