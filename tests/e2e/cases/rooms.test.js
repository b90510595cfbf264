'use strict';
// Rooms by the SDK's own methods: what the promise gives, and what the others and the own other devices are told.

const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { until } = require('../lib/wait');

const newApp = fixture(test);

const rejected = async (promise, type) => {
  const error = await promise.then((value) => assert.fail(`resolved: ${JSON.stringify(value)}`), (reason) => reason);
  assert.equal(error.type, type, JSON.stringify(error));
};
const told = (device, operation, more = () => true) =>
  device.next('onChatroomEvent', (event) => event.operation === operation && more(event));
const say = (device, to, msg, more = {}) => device.send('txt', to, { chatType: 'chatRoom', msg, ...more });
const heard = (device, msg) => device.next('onTextMessage', (message) => message.msg === msg);

/** A room of alice's, made by the app. */
const made = async (app, more = {}) => {
  const room = { name: 'R', description: 'd', owner: 'alice', maxusers: 200, ...more };
  return (await app.ok('POST', '/chatrooms', { body: room })).data.id;
};

/** A room with everybody in it, who have heard of each other. */
const together = async (names, settings) => {
  const app = await newApp(settings);
  const devices = await app.online(...names);
  const roomId = await made(app);
  for (const device of devices) await device.conn.joinChatRoom({ roomId });
  return { app, roomId, devices };
};

test('people come in, talk and go', async () => {
  const app = await newApp();
  const [alice, bob, carol] = await app.online('alice', 'bob', 'carol');
  const roomId = await made(app);
  await rejected(say(bob, roomId, 'too early'), 602);
  await alice.conn.joinChatRoom({ roomId });
  await say(alice, roomId, 'before bob');
  const joined = await bob.conn.joinChatRoom({ roomId, ext: 'hey' });
  assert.deepEqual([joined.data.id, joined.data.action, joined.data.result], [roomId, 'apply', true]);
  assert.deepEqual([joined.data.info.memberCount, joined.data.info.muteExpireTimestamp, joined.data.user], [2, -1, 'bob']);
  assert.equal((await heard(bob, 'before bob')).chatType, 'chatRoom');
  const came = await told(alice, 'memberPresence', ({ from }) => from === 'bob');
  assert.deepEqual([came.id, came.memberCount, came.ext], [roomId, 2, 'hey']);

  await say(bob, roomId, 'hello', { priority: 'high' });
  const message = await heard(alice, 'hello');
  assert.deepEqual([message.from, message.to, message.chatType, message.priority], ['bob', roomId, 'chatRoom', 'high']);
  assert.equal(message.onlineState, 1);
  const tablet = await app.device('bob');
  await say(alice, roomId, 'to both');
  await Promise.all([heard(bob, 'to both'), heard(tablet, 'to both')]);
  assert.equal(carol.seen('onTextMessage').length, 0);

  await bob.conn.leaveChatRoom({ roomId });
  assert.deepEqual([(await told(alice, 'memberAbsence')).from], ['bob']);
  await rejected(say(bob, roomId, 'gone'), 602);
  await rejected(carol.conn.joinChatRoom({ roomId: '1' }), 705);
  const other = await made(app, { maxusers: 1, owner: 'alice' });
  await rejected(carol.conn.joinChatRoom({ roomId: other }), 704);
});

test('a person may be in one room only, and in all of theirs after a break', async () => {
  const { app, roomId, devices: [alice, bob] } = await together(['alice', 'bob']);
  const other = await made(app);
  await bob.conn.joinChatRoom({ roomId: other, leaveOtherRooms: true });
  await told(alice, 'memberAbsence', ({ from, id }) => from === 'bob' && id === roomId);
  assert.deepEqual((await bob.conn.getJoinedChatRooms({ pageNum: 1, pageSize: 20 })).data.map(({ id }) => id), [other]);
  await bob.close();
  const back = await app.device('bob');
  await app.ok('POST', '/messages/chatrooms', { body: { from: 'admin', to: [other], type: 'txt', body: { msg: 'news' } } });
  assert.equal((await heard(back, 'news')).to, other);
});

test('a room is made by super admins, named, listed and ended', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const room = { name: 'R é', description: 'd', maxusers: 300, members: ['bob'] };
  await rejected(alice.conn.createChatRoom(room), 603);
  await app.ok('POST', '/chatrooms/super_admin', { body: { superadmin: 'alice' } });
  const chatRoomId = (await alice.conn.createChatRoom(room)).data.id;
  assert.match(chatRoomId, /^\d{18}$/);
  assert.deepEqual((await told(bob, 'directJoined')).id, chatRoomId);
  const [details] = (await bob.conn.getChatRoomDetails({ chatRoomId })).data;
  assert.deepEqual([details.name, details.owner, details.maxusers, details.affiliations_count], ['R é', 'alice', 300, 2]);
  const [listed] = (await bob.conn.getChatRooms({ pagenum: 1, pagesize: 20 })).data;
  assert.deepEqual([listed.id, listed.affiliations_count], [chatRoomId, 2]);
  await alice.conn.modifyChatRoom({ chatRoomId, chatRoomName: 'S', description: 'e', maxusers: 400 });
  assert.equal((await told(bob, 'updateInfo')).id, chatRoomId);
  await rejected(bob.conn.modifyChatRoom({ chatRoomId, chatRoomName: 'x' }), 603);
  const { members } = (await bob.conn.getChatRoomMembers({ chatRoomId, limit: 50 })).data;
  assert.deepEqual(members.map(({ userId, role }) => [userId, role]).sort(), [['alice', 'owner'], ['bob', 'member']]);
  assert.equal((await bob.conn.listChatRoomMembers({ chatRoomId, pageNum: 1, pageSize: 20 })).data.length, 2);
  const [mine] = (await bob.conn.getJoinedChatRooms({ pageNum: 1, pageSize: 20 })).data;
  assert.deepEqual([mine.id, mine.name], [chatRoomId, 'S']);
  await alice.conn.addUsersToChatRoom({ chatRoomId, users: ['alice'] }).catch(() => {});
  await rejected(bob.conn.destroyChatRoom({ chatRoomId }), 603);
  await alice.conn.destroyChatRoom({ chatRoomId });
  assert.equal((await told(bob, 'destroy')).id, chatRoomId);
  await rejected(bob.conn.getChatRoomDetails({ chatRoomId }), 705);
  await rejected(bob.conn.joinChatRoom({ roomId: chatRoomId }), 705);
});

test('roles, mutes and lists of a room', async () => {
  const { roomId: chatRoomId, devices: [alice, bob, carol] } = await together(['alice', 'bob', 'carol']);
  await alice.conn.setChatRoomAdmin({ chatRoomId, username: 'bob' });
  assert.equal((await told(carol, 'setAdmin')).userId, 'bob');
  assert.deepEqual((await carol.conn.getChatRoomAdmin({ chatRoomId })).data, ['bob']);

  await bob.conn.muteChatRoomMember({ chatRoomId, username: 'carol', muteDuration: 600_000 });
  const muted = await told(carol, 'muteMember');
  assert.deepEqual([muted.userId, muted.muteTimestamp > Date.now()], ['carol', true]);
  await rejected(say(carol, chatRoomId, 'x'), 507);
  assert.equal((await carol.conn.isInChatRoomMutelist({ chatRoomId })).data, true);
  assert.deepEqual((await bob.conn.getChatRoomMutelist({ chatRoomId })).data.map(({ user }) => user), ['carol']);
  // It outlasts the stay, and who comes in is told.
  await carol.conn.leaveChatRoom({ roomId: chatRoomId });
  const again = await carol.conn.joinChatRoom({ roomId: chatRoomId });
  const { info } = again.data;
  assert.ok(info.muteExpireTimestamp > Date.now(), JSON.stringify(info));
  await bob.conn.unmuteChatRoomMember({ chatRoomId, username: 'carol' });
  assert.equal((await told(carol, 'unmuteMember')).userId, 'carol');

  await alice.conn.disableSendChatRoomMsg({ chatRoomId });
  await told(carol, 'muteAllMembers');
  await rejected(say(carol, chatRoomId, 'x'), 506);
  await alice.conn.addUsersToChatRoomAllowlist({ chatRoomId, users: ['carol'] });
  assert.equal((await told(carol, 'addUserToAllowlist')).userId, 'carol');
  assert.equal((await carol.conn.isInChatRoomAllowlist({ chatRoomId, userName: 'carol' })).data.white, true);
  assert.deepEqual((await alice.conn.getChatRoomAllowlist({ chatRoomId })).data, ['carol']);
  await say(carol, chatRoomId, 'allowed', { priority: 'low' });
  assert.equal((await heard(alice, 'allowed')).priority, 'high');
  await alice.conn.removeChatRoomAllowlistMember({ chatRoomId, userName: 'carol' });
  await told(carol, 'removeAllowlistMember');
  await alice.conn.enableSendChatRoomMsg({ chatRoomId });
  await told(carol, 'unmuteAllMembers');

  await alice.conn.removeChatRoomAdmin({ chatRoomId, username: 'bob' });
  await told(carol, 'removeAdmin');
  await rejected(bob.conn.removeChatRoomMember({ chatRoomId, username: 'carol' }), 603);
  await alice.conn.removeChatRoomMember({ chatRoomId, username: 'carol' });
  assert.equal((await told(carol, 'removeMember')).id, chatRoomId);
  await told(bob, 'memberAbsence', ({ from }) => from === 'carol');
  await rejected(say(carol, chatRoomId, 'x'), 602);
  await alice.conn.removeChatRoomMembers({ chatRoomId, users: ['bob', 'carol'] });
  await told(bob, 'removeMember');
  await bob.conn.joinChatRoom({ roomId: chatRoomId });

  await alice.conn.blockChatRoomMember({ chatRoomId, username: 'bob' });
  await told(bob, 'removeMember');
  await rejected(bob.conn.joinChatRoom({ roomId: chatRoomId }), 603);
  assert.deepEqual((await alice.conn.getChatRoomBlocklist({ chatRoomId })).data, ['bob']);
  await alice.conn.unblockChatRoomMember({ chatRoomId, username: 'bob' });
  await told(bob, 'unblockMember');
  await bob.conn.joinChatRoom({ roomId: chatRoomId });
  await alice.conn.blockChatRoomMembers({ chatRoomId, usernames: ['bob'] });
  await alice.conn.unblockChatRoomMembers({ chatRoomId, usernames: ['bob'] });
});

test('announcement, attributes and files of a room', async () => {
  const { roomId, devices: [alice, bob] } = await together(['alice', 'bob']);
  const chatRoomId = roomId;
  await alice.conn.updateChatRoomAnnouncement({ roomId, announcement: 'hear' });
  assert.equal((await told(bob, 'updateAnnouncement')).announcement, 'hear');
  assert.equal((await bob.conn.fetchChatRoomAnnouncement({ roomId })).data.announcement, 'hear');

  const set = await bob.conn.setChatRoomAttributes({ chatRoomId, attributes: { k: 'v', l: 'w' }, autoDelete: true });
  assert.deepEqual([set.data.status, set.data.successKeys.sort()], ['success', ['k', 'l']]);
  const changed = await told(alice, 'updateChatRoomAttributes');
  assert.deepEqual([changed.id, changed.from, changed.attributes], [roomId, 'bob', { k: 'v', l: 'w' }]);
  await rejected(alice.conn.setChatRoomAttribute({ chatRoomId, attributeKey: 'k', attributeValue: 'x' }), 52);
  await alice.conn.setChatRoomAttribute({ chatRoomId, attributeKey: 'k', attributeValue: 'x', autoDelete: false, isForced: true });
  assert.deepEqual((await bob.conn.getChatRoomAttributes({ chatRoomId, attributeKeys: ['k'] })).data, { k: 'x' });
  await bob.conn.removeChatRoomAttribute({ chatRoomId, attributeKey: 'k' }).then(assert.fail, (error) => assert.equal(error.type, 52));
  await bob.conn.leaveChatRoom({ roomId });
  // What bob had set goes with him.
  assert.deepEqual((await told(alice, 'removeChatRoomAttributes')).attributes, ['l']);
  assert.deepEqual((await alice.conn.getChatRoomAttributes({ chatRoomId })).data, { k: 'x' });
  await alice.conn.removeChatRoomAttributes({ chatRoomId, attributeKeys: ['k'] });
  assert.deepEqual((await alice.conn.getChatRoomAttributes({ chatRoomId })).data, {});

  await bob.conn.joinChatRoom({ roomId });
  const { data: { file_id: fileId } } = await new Promise((resolve, reject) => {
    alice.conn.uploadChatRoomSharedFile({ roomId, file: { data: new Blob(['abc']), filename: 'a.txt' }, onFileUploadComplete: resolve, onFileUploadError: reject });
  });
  await told(bob, 'uploadFile');
  assert.deepEqual((await bob.conn.getChatRoomSharedFilelist({ roomId })).data.map(({ file_id: id }) => id), [fileId]);
  await alice.conn.deleteChatRoomSharedFile({ roomId, fileId });
  await told(bob, 'deleteFile');
});

test('messages of every kind, recalled, edited, to some and to all rooms', async () => {
  const { app, roomId, devices: [alice, bob, carol] } = await together(['alice', 'bob', 'carol']);
  const { serverMsgId } = await say(alice, roomId, 'first');
  await heard(bob, 'first');
  await alice.conn.recallMessage({ mid: serverMsgId, to: roomId, chatType: 'chatRoom' });
  assert.equal((await bob.next('onRecallMessage')).mid, serverMsgId);
  const { serverMsgId: edited } = await say(alice, roomId, 'second');
  await heard(bob, 'second');
  const message = alice.message('txt', roomId, { chatType: 'chatRoom', msg: 'second, better' });
  await alice.conn.modifyMessage({ messageId: edited, modifiedMessage: message });
  assert.equal((await bob.next('onModifiedMessage')).msg, 'second, better');
  await alice.send('cmd', roomId, { chatType: 'chatRoom', action: 'wave' });
  assert.equal((await bob.next('onCmdMessage')).action, 'wave');
  await say(alice, roomId, 'for bob', { receiverList: ['bob'] });
  await heard(bob, 'for bob');
  await app.ok('POST', '/messages/chatrooms/broadcast', { body: { from: 'admin', msg: { type: 'txt', msg: 'to all' }, chatroom_msg_level: 'high' } });
  const all = await heard(carol, 'to all');
  assert.deepEqual([all.broadcast, all.priority], [true, 'high']);
  assert.equal(carol.seen('onTextMessage', ({ msg }) => msg === 'for bob').length, 0);
});

test('who is away for long is taken out', async () => {
  const { app, roomId, devices: [alice, bob] } = await together(['alice', 'bob'], { room_grace_s: 1 });
  await bob.close();
  assert.equal((await told(alice, 'memberAbsence', ({ from }) => from === 'bob')).id, roomId);
  assert.deepEqual((await app.ok('GET', '/users/bob/joined_chatrooms')).data, []);
});

test('a JSON device and SDK devices are in one room', async () => {
  const app = await newApp();
  const alice = await app.device('alice');
  const bob = await app.json('bob');
  const roomId = await made(app);
  await alice.conn.joinChatRoom({ roomId });
  await say(alice, roomId, 'before');
  bob.say({ type: 'join', id: 1, room: roomId, ext: 'hey' });
  const joined = await bob.hear('joined');
  assert.deepEqual([joined.members, joined.entries.map(({ body }) => body.msg)], [2, ['before']]);
  assert.equal((await told(alice, 'memberPresence')).ext, 'hey');
  bob.say({ type: 'send', id: 2, to: roomId, chat: 'room', priority: 'high', body: { type: 'txt', msg: 'from JSON' } });
  await bob.hear('sent');
  assert.equal((await heard(alice, 'from JSON')).priority, 'high');
  await say(alice, roomId, 'from the SDK');
  const news = await bob.hear('room', ({ entries }) => entries.some(({ body }) => body?.msg === 'from the SDK'));
  assert.equal(news.room, roomId);
  bob.say({ type: 'leave', id: 3, room: roomId });
  await bob.hear('left');
  await told(alice, 'memberAbsence');
  await until('the room is alone', async () => (await app.ok('GET', `/chatrooms/${roomId}`)).data[0].affiliations_count === 1);
});
