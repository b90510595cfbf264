'use strict';
// The open JSON protocol against the real server, beside the unmodified SDK: one person with a device of each is in sync.
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');

const newApp = fixture(test);

/** What the SDK makes of it, and the JSON that makes it. */
const BODIES = [
  ['onTextMessage', { type: 'txt', msg: 'hi 你好' }, (got) => assert.equal(got.msg, 'hi 你好')],
  ['onImageMessage', { type: 'img', url: 'http://x/1', secret: 's', filename: 'a.png', file_length: 7, size: { width: 3, height: 4 } }, (got) => assert.deepEqual([got.width, got.height], [3, 4])],
  ['onAudioMessage', { type: 'audio', url: 'http://x/2', filename: 'a.amr', length: 5 }, (got) => assert.equal(got.length, 5)],
  ['onVideoMessage', { type: 'video', url: 'http://x/3', filename: 'a.mp4', length: 6 }, (got) => assert.equal(got.length, 6)],
  ['onFileMessage', { type: 'file', url: 'http://x/4', filename: 'a.pdf', file_length: 8 }, (got) => assert.equal(got.filename, 'a.pdf')],
  ['onLocationMessage', { type: 'loc', lat: 1.5, lng: -2.5, addr: 'there' }, (got) => assert.deepEqual([got.lat, got.lng, got.addr], [1.5, -2.5, 'there'])],
  ['onCmdMessage', { type: 'cmd', action: 'go' }, (got) => assert.equal(got.action, 'go')],
  ['onCustomMessage', { type: 'custom', customEvent: 'e', customExts: { k: 'v' } }, (got) => assert.deepEqual([got.customEvent, got.customExts.k], ['e', 'v'])],
];

test('every type of message goes from JSON to the SDK and to JSON', async () => {
  const app = await newApp();
  const alice = await app.json('alice');
  const [bob] = await app.online('bob');
  const second = await app.json('bob');
  for (const [event, body, check] of BODIES) {
    const sent = await alice.ask({ type: 'send', to: 'bob', body, ext: { n: 1, o: { deep: [true] } } });
    assert.equal(sent.type, 'sent', JSON.stringify(sent));
    const got = await bob.next(event, (message) => message.id === sent.message);
    check(got);
    assert.deepEqual(got.ext, { n: 1, o: { deep: [true] } });
    const told = await second.hear('message', (frame) => frame.message === sent.message);
    assert.deepEqual([told.body, told.ext, told.from, told.time], [body, { n: 1, o: { deep: [true] } }, 'alice', sent.time]);
  }
});

test('one person with an SDK device and a JSON device is in sync', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const tab = await app.json('alice');
  const { serverMsgId } = await alice.text('bob', 'from the SDK');
  const own = await tab.hear('message', (frame) => frame.message === serverMsgId);
  assert.deepEqual([own.conversation, own.from, own.to, own.body.msg], ['bob', 'alice', 'bob', 'from the SDK']);
  const sent = await tab.text('bob', 'from the tab');
  assert.equal((await alice.next('onTextMessage', (message) => message.id === sent.message)).to, 'bob');
  assert.equal((await bob.next('onTextMessage', (message) => message.id === sent.message)).msg, 'from the tab');

  const edited = await tab.ask({ type: 'edit', to: 'bob', message: sent.message, body: { type: 'txt', msg: 'better' } });
  assert.equal(edited.type, 'sent', JSON.stringify(edited));
  assert.equal((await bob.next('onModifiedMessage')).msg, 'better');
  await bob.conn.send(bob.message('read', 'alice', { id: sent.message }));
  assert.equal((await tab.hear('receipt', (frame) => frame.kind === 'read')).target, sent.message);
  assert.equal((await tab.ask({ type: 'recall', to: 'bob', message: sent.message })).type, 'sent');
  assert.equal((await bob.next('onRecallMessage')).mid, sent.message);
  tab.say({ type: 'typing', to: 'bob' });
  assert.equal((await bob.next('onCmdMessage')).action, 'TypingBegin');
});

test('a JSON client that was away gets what it missed, once and in order, from its own position', async () => {
  const app = await newApp();
  const tab = await app.json('bob', { device: 'tab' });
  const alice = await app.json('alice');
  const first = await alice.text('bob', '0');
  await tab.hear('message', (frame) => frame.message === first.message);
  tab.close();
  await tab.closed;
  const ids = [];
  for (let n = 1; n <= 300; n += 1) ids.push(alice.text('bob', `${n}`));
  const sent = (await Promise.all(ids)).map((answer) => answer.message);
  const again = await app.json('bob', { device: 'tab', positions: tab.positions });
  await again.hear('synced');
  assert.deepEqual(again.heard('message').map((frame) => frame.body.msg), Array.from({ length: 300 }, (_, n) => `${n + 1}`));
  assert.deepEqual(again.heard('message').map((frame) => frame.message), sent);

  const page = await again.ask({ type: 'history', with: 'alice', limit: 100 });
  assert.deepEqual([page.entries.length, page.entries[0].body.msg, page.more], [100, '0', true]);
  const next = await again.ask({ type: 'history', with: 'alice', limit: 100, after: page.position });
  assert.equal(next.entries[0].body.msg, '100');
});

test('a resend with the same id gives the first answer', async () => {
  const app = await newApp();
  const alice = await app.json('alice', { device: 'tab' });
  const frame = { type: 'send', id: 4711, to: 'bob', body: { type: 'txt', msg: 'once' } };
  const first = await alice.ask(frame);
  alice.close();
  const again = await app.json('alice', { device: 'tab' });
  assert.equal((await again.ask(frame)).message, first.message);
  const bob = await app.json('bob');
  await bob.hear('synced');
  assert.equal(bob.heard('message').length, 1);
});

test('what ends a session is told', async () => {
  const app = await newApp();
  const tab = await app.json('alice', { device: 'tab' });
  const other = await app.json('alice', { device: 'tab' });
  assert.deepEqual([(await tab.hear('bye')).code, await tab.closed], ['replaced', 1000]);
  await app.ok('DELETE', '/users/alice');
  const bye = await other.hear('bye');
  assert.deepEqual([bye.code, bye.reconnect], ['user_removed', false]);
});
