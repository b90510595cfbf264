'use strict';
// Contacts, block list, attributes, presence, push settings and silent mode by the SDK's own methods: what the promise gives,
// and what the other side and the own other devices are told.

const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');

const newApp = fixture(test);

const rejected = async (promise, type) => {
  const error = await promise.then((value) => assert.fail(`resolved: ${JSON.stringify(value)}`), (reason) => reason);
  assert.equal(error.type, type, JSON.stringify(error));
};
const names = async (client) => (await client.conn.getContacts()).data;

test('a contact is asked, accepted, named, listed and removed', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const tablet = await app.device('bob');
  await alice.conn.addContact('bob', 'hello');
  for (const device of [bob, tablet]) {
    const asked = await device.next('onContactInvited');
    assert.deepEqual([asked.from, asked.to, asked.status, asked.type], ['alice', 'bob', 'hello', 'subscribe']);
  }
  await bob.conn.acceptContactInvite('alice');
  assert.equal((await alice.next('onContactAgreed')).from, 'bob');
  for (const device of [bob, tablet]) assert.equal((await device.next('onContactAdded')).from, 'alice');
  assert.deepEqual([await names(alice), await names(bob)], [['bob'], ['alice']]);

  await alice.conn.setContactRemark({ userId: 'bob', remark: 'Bobby' });
  assert.deepEqual((await alice.conn.getAllContacts()).data, [{ userId: 'bob', remark: 'Bobby' }]);
  const page = await alice.conn.getContactsWithCursor({ pageSize: 20, cursor: '' });
  assert.deepEqual(page.data.contacts, [{ userId: 'bob', remark: 'Bobby' }]);

  await alice.conn.deleteContact('bob');
  for (const device of [bob, tablet]) assert.equal((await device.next('onContactDeleted')).from, 'alice');
  assert.deepEqual([await names(alice), await names(bob)], [[], []]);
  await rejected(alice.conn.setContactRemark({ userId: 'bob', remark: 'x' }), 221);
});

test('an invitation waits for who is away, and is declined', async () => {
  const app = await newApp();
  const alice = await app.device('alice');
  await app.userToken('bob');
  await alice.conn.addContact('bob', 'see you');
  const bob = await app.device('bob');
  assert.equal((await bob.next('onContactInvited')).status, 'see you');
  await bob.conn.declineContactInvite('alice');
  assert.equal((await alice.next('onContactRefuse')).from, 'bob');
  assert.deepEqual(await names(alice), []);
  await rejected(alice.conn.addContact('nobody-there', 'x'), 204);
});

test('two who ask each other are contacts', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  await Promise.all([alice.conn.addContact('bob', 'a'), bob.conn.addContact('alice', 'b')]);
  assert.deepEqual([await names(alice), await names(bob)], [['bob'], ['alice']]);
});

test('the app makes contacts, and both are told', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  await app.ok('POST', '/users/alice/contacts/users/bob');
  assert.equal((await alice.next('onContactAdded')).from, 'bob');
  assert.equal((await bob.next('onContactAdded')).from, 'alice');
  await app.ok('DELETE', '/users/alice');
  assert.equal((await bob.next('onContactDeleted')).from, 'alice');
  assert.deepEqual(await names(bob), []);
});

test('whoever is blocked can neither write nor ask', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const blocked = await alice.conn.addUsersToBlocklist({ name: ['bob'] });
  assert.deepEqual(blocked.data.userIds, ['bob']);
  assert.deepEqual((await alice.conn.getBlocklist()).data, ['bob']);
  await rejected(bob.text('alice', 'are you there?'), 603);
  await rejected(bob.conn.addContact('alice', 'please'), 603);
  await alice.text('bob', 'I may write');
  assert.equal((await bob.next('onTextMessage')).msg, 'I may write');
  await alice.conn.removeUserFromBlocklist({ name: ['bob'] });
  await bob.text('alice', 'again');
  assert.equal((await alice.next('onTextMessage')).msg, 'again');
});

test('where the app asks for it, only contacts write to each other', async () => {
  const app = await newApp({ friend_check: true });
  const [alice, bob] = await app.online('alice', 'bob');
  await rejected(alice.text('bob', 'x'), 221);
  await app.ok('POST', '/users/alice/contacts/users/bob');
  await alice.text('bob', 'y');
  assert.equal((await bob.next('onTextMessage')).msg, 'y');
});

test('the muted cannot write, on any device, until it ends', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  await app.ok('POST', '/mutes', { body: { username: 'alice', chat: 600 } });
  await rejected(alice.text('bob', 'x'), 219);
  const tablet = await app.device('alice');
  await rejected(tablet.text('bob', 'x'), 219);
  await app.ok('POST', '/mutes', { body: { username: 'alice', chat: 0 } });
  await alice.text('bob', 'y');
  assert.equal((await bob.next('onTextMessage')).msg, 'y');
});

test('attributes are set, merged and read by others', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const set = await alice.conn.updateUserInfo({ nickname: 'N é&x', avatarurl: 'http://a/b?c=d' });
  assert.deepEqual(set.data, { nickname: 'N é&x', avatarurl: 'http://a/b?c=d' });
  await alice.conn.updateUserInfo('sign', 'hi');
  const read = await bob.conn.fetchUserInfoById(['alice', 'bob'], ['nickname', 'sign']);
  assert.deepEqual(read.data, { alice: { nickname: 'N é&x', sign: 'hi' }, bob: {} });
  const all = await bob.conn.fetchUserInfoById('alice');
  assert.equal(all.data.alice.avatarurl, 'http://a/b?c=d');
});

test('presence is published, followed and asked for', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const followed = await alice.conn.subscribePresence({ usernames: ['bob'], expiry: 3600 });
  assert.equal(followed.result[0].uid, 'bob');
  assert.deepEqual(Object.values(followed.result[0].status), ['1']);
  await bob.conn.publishPresence({ description: 'busy' });
  const [heard] = await alice.next('onPresenceStatusChange', ([{ ext }]) => ext === 'busy');
  assert.deepEqual([heard.userId, heard.ext, heard.statusDetails.map(({ status }) => status)], ['bob', 'busy', [1]]);
  const [own] = await bob.next('onPresenceStatusChange');
  assert.deepEqual([own.userId, own.ext], ['bob', 'busy']);
  await bob.close();
  const [gone] = await alice.next('onPresenceStatusChange', ([{ statusDetails }]) => statusDetails.length === 0);
  assert.deepEqual([gone.userId, gone.ext, gone.statusDetails], ['bob', 'busy', []]);
  const list = await alice.conn.getSubscribedPresenceList({ pageNum: 1, pageSize: 50 });
  assert.deepEqual([list.data.result.totalnum, list.data.result.sublist[0].uid], ['1', 'bob']);
  const asked = await alice.conn.getPresenceStatus({ usernames: ['bob'] });
  assert.deepEqual([asked.result[0].uid, asked.result[0].status], ['bob', {}]);
  assert.ok(Number(asked.result[0].last_time) > 1.7e9);
  await alice.conn.unsubscribePresence({ usernames: ['bob'] });
  assert.equal((await alice.conn.getSubscribedPresenceList({ pageNum: 1, pageSize: 50 })).data.result.totalnum, '0');
  await rejected(alice.conn.publishPresence({ description: 'x'.repeat(2000) }), 1100);
});

test('silent modes are set, read and told to the own other device', async () => {
  const app = await newApp();
  const phone = await app.device('alice');
  const tablet = await app.device('alice');
  const all = await phone.conn.setSilentModeForAll({ options: { paramType: 1, duration: 60_000 } });
  assert.ok(all.data.ignoreDuration > 60_000);
  const bob = { conversationId: 'bob', type: 'singleChat' };
  await phone.conn.setSilentModeForConversation({ ...bob, options: { paramType: 0, remindType: 'NONE' } });
  const told = [await tablet.next('onMultiDeviceEvent'), await tablet.next('onMultiDeviceEvent')];
  assert.deepEqual(told.map(({ operation }) => operation), ['setSilentModeForConversation', 'setSilentModeForConversation']);
  assert.equal(told[1].conversationId, 'bob');
  assert.equal((await phone.conn.getSilentModeForConversation(bob)).data.type, 'NONE');
  const several = await phone.conn.getSilentModeForConversations({ conversationList: [{ id: 'bob', type: 'singleChat' }, { id: 'g1', type: 'groupChat' }] });
  assert.deepEqual(several.data, { user: { bob: { type: 'NONE' } }, group: { g1: {} } });
  const kinds = await phone.conn.getSilentModeRemindTypeConversations({ pageSize: 10 });
  assert.deepEqual(kinds.data.conversations, [{ conversationId: 'bob', type: 'singleChat', remindType: 'NONE' }]);
  await phone.conn.clearRemindTypeForConversation(bob);
  assert.equal((await tablet.next('onMultiDeviceEvent')).operation, 'removeSilentModeForConversation');
  assert.deepEqual((await phone.conn.getSilentModeForConversation(bob)).data, {});
});

test('push settings are kept', async () => {
  const app = await newApp();
  const alice = await app.device('alice');
  const nick = await alice.conn.updateCurrentUserNick('Al');
  assert.equal(nick.entities[0].nickname, 'Al');
  const bound = await alice.conn.uploadPushToken({ deviceId: 'd1', deviceToken: 'tok', notifierName: 'cert' });
  assert.equal(bound.data.pushInfo[0].device_id, 'd1');
  await alice.conn.setPushPerformLanguage({ language: 'EU' });
  assert.equal((await alice.conn.getPushPerformLanguage()).data.language, 'EU');
});

test('the own other devices are listed', async () => {
  const app = await newApp();
  const phone = await app.device('alice');
  const tablet = await app.device('alice');
  assert.deepEqual((await phone.conn.getSelfIdsOnOtherPlatform()).data, [`alice/${tablet.resource}`]);
});

test('a client of the open protocol is told the same', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  const bob = await app.json('bob');
  await alice.conn.addContact('bob', 'hello');
  const asked = await bob.hear('contact');
  assert.deepEqual([asked.change, asked.contact, asked.from, asked.reason], ['invited', 'alice', 'alice', 'hello']);
  const token = await app.userToken('bob');
  await app.ok('POST', '/users/bob/contacts/accept/users/alice', { token });
  assert.equal((await alice.next('onContactAgreed')).from, 'bob');
  assert.deepEqual([(await bob.hear('contact')).change], ['accepted']);
  await app.ok('POST', '/users/bob/presence/3600', { token, body: { usernames: ['alice'] } });
  await alice.conn.publishPresence({ description: 'here' });
  const presence = await bob.hear('presence');
  assert.deepEqual([presence.user, presence.ext, Object.values(presence.status)], ['alice', 'here', [1]]);
});
