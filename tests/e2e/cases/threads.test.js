'use strict';
// Threads by the SDK's own methods: what the promise gives, and what the others and the own other devices are told.

const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');

const newApp = fixture(test);

const rejected = async (promise, type) => {
  const error = await promise.then((value) => assert.fail(`resolved: ${JSON.stringify(value)}`), (reason) => reason);
  assert.equal(error.type, type, JSON.stringify(error));
};
const say = (device, to, msg, more = {}) => device.send('txt', to, { chatType: 'groupChat', msg, ...more });
const told = (device, operation) => device.next('onChatThreadChange', (event) => event.operation === operation);

/** A group of alice, bob and carol, and a message of alice's there. */
const begun = async () => {
  const app = await newApp();
  const [alice, bob, carol] = await app.online('alice', 'bob', 'carol');
  const body = { groupname: 'G', description: '', public: true, owner: 'alice', members: ['bob', 'carol'] };
  const parentId = (await app.ok('POST', '/chatgroups', { body })).data.groupid;
  const { serverMsgId: messageId } = await say(alice, parentId, 'about this');
  return { app, alice, bob, carol, parentId, messageId };
};

test('a thread is begun, joined, talked in, renamed and ended', async () => {
  const { app, alice, bob, carol, parentId, messageId } = await begun();
  const tablet = await app.device('alice');
  const made = await alice.conn.createChatThread({ parentId, messageId, name: 'T' });
  const { chatThreadId } = made.data;
  const created = await told(bob, 'create');
  assert.deepEqual([created.id, created.name, created.parentId, created.messageId], [chatThreadId, 'T', parentId, messageId]);
  assert.equal((await tablet.next('onMultiDeviceEvent')).operation, 'chatThreadCreate');
  await rejected(bob.conn.createChatThread({ parentId, messageId, name: 'again' }), 1301);
  await rejected(say(bob, chatThreadId, 'x', { isChatThread: true }), 602);

  const joined = await bob.conn.joinChatThread({ chatThreadId });
  assert.deepEqual([joined.data.detail.id, joined.data.detail.parentId, joined.data.detail.messageId], [chatThreadId, parentId, messageId]);
  await say(bob, chatThreadId, 'hello', { isChatThread: true });
  const heard = await alice.next('onTextMessage');
  assert.deepEqual([heard.msg, heard.to, heard.chatType], ['hello', chatThreadId, 'groupChat']);
  const update = await told(carol, 'update');
  assert.deepEqual([update.id, update.messageCount, update.lastMessage.msg], [chatThreadId, 1, 'hello']);

  const detail = (await carol.conn.getChatThreadDetail({ chatThreadId })).data;
  assert.deepEqual([detail.name, detail.owner, detail.affiliationsCount], ['T', 'alice', 2]);
  assert.deepEqual((await alice.conn.getChatThreadMembers({ chatThreadId, pageSize: 20, cursor: '' })).data.affiliations, ['alice', 'bob']);
  const [listed] = (await carol.conn.getChatThreads({ parentId, pageSize: 20, cursor: '' })).entities;
  assert.deepEqual([listed.id, listed.parentId], [chatThreadId, parentId]);
  for (const query of [{}, { parentId }]) {
    const [mine] = (await bob.conn.getJoinedChatThreads({ ...query, pageSize: 20, cursor: '' })).entities;
    assert.equal(mine.id, chatThreadId);
  }
  const [last] = (await carol.conn.getChatThreadLastMessage({ chatThreadIds: [chatThreadId] })).entities;
  assert.deepEqual([last.chatThreadId, last.lastMessage.msg], [chatThreadId, 'hello']);

  await alice.conn.changeChatThreadName({ chatThreadId, name: 'U' });
  assert.equal((await carol.next('onChatThreadChange', ({ name }) => name === 'U')).id, chatThreadId);
  await rejected(carol.conn.changeChatThreadName({ chatThreadId, name: 'x' }), 52);
  await bob.conn.leaveChatThread({ chatThreadId });
  await bob.conn.joinChatThread({ chatThreadId });
  await alice.conn.removeChatThreadMember({ chatThreadId, username: 'bob' });
  assert.equal((await told(bob, 'userRemove')).id, chatThreadId);
  await alice.conn.destroyChatThread({ chatThreadId });
  assert.equal((await told(carol, 'destroy')).id, chatThreadId);
  await rejected(carol.conn.getChatThreadDetail({ chatThreadId }), 1300);
});

test('what is said in a thread waits for its members', async () => {
  const { app, alice, bob, parentId, messageId } = await begun();
  const { chatThreadId } = (await alice.conn.createChatThread({ parentId, messageId, name: 'T' })).data;
  await bob.conn.joinChatThread({ chatThreadId });
  await bob.close();
  await say(alice, chatThreadId, 'while you were away', { isChatThread: true });
  const back = await app.device('bob');
  const late = await back.next('onTextMessage', ({ to }) => to === chatThreadId);
  assert.equal(late.msg, 'while you were away');
  await app.ok('DELETE', `/chatgroups/${parentId}/users/bob`);
  await rejected(say(back, chatThreadId, 'x', { isChatThread: true }), 602);
});
