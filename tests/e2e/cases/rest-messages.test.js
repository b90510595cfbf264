'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { rejection } = require('../lib/sdk');

const newApp = fixture(test);
const URL = 'http://files.example/org/app/chatfiles/2b';

/** type, body, event, what the receiver must see. */
const KINDS = [
  ['txt', { msg: 'hello' }, 'onTextMessage', { msg: 'hello' }],
  ['img', { url: URL, filename: 'p.jpg', secret: 's3', size: { width: 480, height: 720 }, file_length: 99 }, 'onImageMessage', { width: 480, height: 720, secret: 's3', file_length: 99 }],
  ['audio', { url: URL, filename: 'a.amr', length: 5, secret: 's3', file_length: 7 }, 'onAudioMessage', { filename: 'a.amr', length: 5 }],
  ['video', { url: URL, filename: 'v.mp4', length: 9, file_length: 1000, thumb: URL, secret: 's3', thumb_secret: 't3', size: { width: 10, height: 20 } }, 'onVideoMessage', { filename: 'v.mp4', length: 9, file_length: 1000 }],
  ['file', { url: URL, filename: 'f.zip', secret: 's3', file_length: 12 }, 'onFileMessage', { filename: 'f.zip', file_length: 12 }],
  ['loc', { lat: '39.5', lng: 116.25, addr: 'Park' }, 'onLocationMessage', { lat: 39.5, lng: 116.25, addr: 'Park' }],
  ['cmd', { action: 'refresh' }, 'onCmdMessage', { action: 'refresh' }],
  ['custom', { customEvent: 'gift', customExts: { name: 'rose' } }, 'onCustomMessage', { customEvent: 'gift', customExts: { name: 'rose' } }],
];

for (const [type, body, event, expected] of KINDS) {
  test(`a ${type} message by REST arrives at the SDK`, async () => {
    const app = await newApp();
    const [bob] = await app.online('bob');
    const ext = { n: 1, s: 'x', o: { a: [true, null] } };
    const answer = await app.ok('POST', '/messages/users', { body: { from: 'alice', to: ['bob'], type, body, ext } });
    assert.deepEqual([answer.path, answer.action], ['/messages/users', 'post']);
    const got = await bob.next(event);
    assert.equal(got.id, answer.data.bob);
    assert.deepEqual([got.from, got.to, got.ext], ['alice', 'bob', ext]);
    for (const [field, value] of Object.entries(expected)) assert.deepEqual(got[field], value, field);
  });
}

test('many receivers: one id each, all distinct', async () => {
  const app = await newApp();
  const people = await app.online('ann', 'ben', 'cat');
  const names = people.map((client) => client.username);
  const { data } = await app.ok('POST', '/messages/users', { body: { from: 'admin', to: names, type: 'txt', body: { msg: 'all' } } });
  assert.equal(new Set(Object.values(data)).size, 3);
  for (const client of people) assert.equal((await client.next('onTextMessage')).id, data[client.username]);
});

test('without a sender it is admin; with an empty one it is refused', async () => {
  const app = await newApp();
  const [bob] = await app.online('bob');
  await app.ok('POST', '/messages/users', { body: { to: ['bob'], type: 'txt', body: { msg: 'x' } } });
  assert.equal((await bob.next('onTextMessage')).from, 'admin');
  const refused = await app.call('POST', '/messages/users', { body: { from: '', to: ['bob'], type: 'txt', body: { msg: 'x' } } });
  assert.deepEqual([refused.status, refused.body.error_description], [400, "from can't be empty"]);
});

test('bad sends are refused: no receiver, no body, unknown type, ext null, too large, a user token', async () => {
  const app = await newApp();
  const good = { from: 'a', to: ['bob'], type: 'txt', body: { msg: 'x' } };
  const status = async (change, token) => (await app.call('POST', '/messages/users', { body: { ...good, ...change }, token })).status;
  assert.equal(await status({ to: [] }), 400);
  assert.equal(await status({ to: undefined }), 400);
  assert.equal(await status({ body: undefined }), 400);
  assert.equal(await status({ type: 'smoke' }), 400);
  assert.equal(await status({ ext: null }), 400);
  assert.equal(await status({ to: Array.from({ length: 601 }, (_, n) => `u${n}`) }), 400);
  assert.equal(await status({ body: { msg: 'x'.repeat(20_000) } }), 400);
  assert.equal(await status({ body: { msg: 'x'.repeat(200_000) } }), 413);
  assert.equal(await status({}, await app.userToken('bob')), 401);
  assert.equal(await status({}), 200);
});

test('a message by REST waits for who is away, unless it is ROUTE_ONLINE', async () => {
  const app = await newApp();
  const send = (msg, more) => app.ok('POST', '/messages/users', { body: { from: 'a', to: ['bob'], type: 'txt', body: { msg }, ...more } });
  await send('missed', { routetype: 'ROUTE_ONLINE' });
  await send('kept');
  const bob = await app.device('bob');
  assert.equal((await bob.next('onTextMessage')).msg, 'kept');
  await send('live', { routetype: 'ROUTE_ONLINE' });
  assert.equal((await bob.next('onTextMessage', (message) => message.msg !== 'kept')).msg, 'live');
});

test("sync_device copies to the sender's devices; without it they hear nothing", async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const send = (msg, sync) => app.ok('POST', '/messages/users', { body: { from: 'alice', to: ['bob'], type: 'txt', body: { msg }, sync_device: sync } });
  await send('quiet', false);
  const { data } = await send('copied', true);
  const got = await alice.next('onTextMessage');
  assert.deepEqual([got.msg, got.id, got.to], ['copied', data.bob, 'bob']);
  await bob.count('onTextMessage', 2);
  assert.equal(alice.seen('onTextMessage').length, 1);
});

test('msg_timestamp is the time that the receiver sees', async () => {
  const app = await newApp();
  const [bob] = await app.online('bob');
  const at = Date.now() - 86_400_000;
  await app.ok('POST', '/messages/users', { body: { from: 'a', to: ['bob'], type: 'txt', body: { msg: 'old' }, msg_timestamp: at } });
  assert.equal(Number((await bob.next('onTextMessage')).time), at);
});

test('the older /messages: "success", or the id when asked', async () => {
  const app = await newApp();
  const [bob] = await app.online('bob');
  const body = { from: 'a', target_type: 'users', target: ['bob'], msg: { type: 'txt', msg: 'legacy' }, ext: { k: 1 } };
  assert.deepEqual((await app.ok('POST', '/messages', { body })).data, { bob: 'success' });
  const got = await bob.next('onTextMessage');
  assert.deepEqual([got.msg, got.ext], ['legacy', { k: 1 }]);
  const { data } = await app.ok('POST', '/messages?useMsgId=true', { body });
  assert.equal((await bob.next('onTextMessage', (message) => message.id !== got.id)).id, data.bob);
  const wrong = await app.call('POST', '/messages', { body: { ...body, target_type: 'aliens' } });
  assert.equal(wrong.body.error_description, "target_type can only be 'users' or 'chatgroups' or 'chatrooms'");
});

test('recall by REST reaches the receiver and the sender, and says so', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'oops');
  await bob.next('onTextMessage');
  const { data } = await app.ok('POST', '/messages/msg_recall', {
    body: { msg_id: sent.serverMsgId, from: 'alice', to: 'bob', chat_type: 'chat', force: false },
  });
  assert.deepEqual(data, { recalled: 'yes', chattype: 'chat', from: 'alice', to: 'bob', msg_id: sent.serverMsgId });
  assert.equal((await bob.next('onRecallMessage')).mid, sent.serverMsgId);
  assert.equal((await alice.next('onRecallMessage')).mid, sent.serverMsgId);
});

test('what cannot be recalled by REST is said in words, with 200', async () => {
  const app = await newApp({ recall_window_ms: 1 });
  const [alice] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'x');
  const recall = async (fields) => (await app.ok('POST', '/messages/msg_recall', {
    body: { from: 'alice', to: 'bob', chat_type: 'chat', force: false, ...fields },
  })).data;
  const word = (data) => data.recalled ?? data.msgs[0].recalled;
  assert.equal(word(await recall({ msg_id: sent.serverMsgId })), 'exceed recall time limit');
  assert.equal(word(await recall({ msg_id: '12345' })), 'not_found msg');
  assert.equal(word(await recall({ msg_id: sent.serverMsgId, force: true })), 'yes');
  assert.equal(word(await recall({ msg_id: sent.serverMsgId, force: true })), 'not_found msg');
  const missing = await app.call('POST', '/messages/msg_recall', { body: { msg_id: '1', chat_type: 'chat', force: true } });
  assert.equal(missing.status, 400);
});

test('recall by REST where it is switched off: 403', async () => {
  const app = await newApp({ recall_enabled: false });
  const [alice] = await app.online('alice', 'bob');
  const sent = await alice.text('bob', 'x');
  const { status, body } = await app.call('POST', '/messages/msg_recall', {
    body: { msg_id: sent.serverMsgId, from: 'alice', to: 'bob', chat_type: 'chat', force: true },
  });
  assert.deepEqual([status, body.error, body.error_description], [403, 'forbidden_op', 'message recall service is unopened']);
});

test('a client cannot recall what REST sent in another name', async () => {
  const app = await newApp();
  const [bob] = await app.online('bob');
  const { data } = await app.ok('POST', '/messages/users', { body: { from: 'alice', to: ['bob'], type: 'txt', body: { msg: 'x' } } });
  await bob.next('onTextMessage');
  await rejection(bob.conn.recallMessage({ mid: data.bob, to: 'alice', chatType: 'singleChat' }));
});
