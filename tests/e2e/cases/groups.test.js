'use strict';
// Groups by the SDK's own methods: what the promise gives, and what the others and the own other devices are told.

const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');

const newApp = fixture(test);

const rejected = async (promise, type) => {
  const error = await promise.then((value) => assert.fail(`resolved: ${JSON.stringify(value)}`), (reason) => reason);
  assert.equal(error.type, type, JSON.stringify(error));
};
const told = (device, operation) => device.next('onGroupEvent', (event) => event.operation === operation);
const say = (device, groupId, msg, more = {}) => device.send('txt', groupId, { chatType: 'groupChat', msg, ...more });

/** A group of alice's, made by the app, with everybody else in it. */
const made = async (app, members, more = {}) => {
  const group = { groupname: 'G', description: 'd', public: true, owner: 'alice', members, ...more };
  return (await app.ok('POST', '/chatgroups', { body: group })).data.groupid;
};

test('a group is made, named, listed and ended', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const tablet = await app.device('alice');
  const created = await alice.conn.createGroup({
    data: { groupname: 'G é', desc: 'd', members: ['bob'], public: true, approval: false, allowinvites: true,
      inviteNeedConfirm: false, maxusers: 300, ext: 'x' },
  });
  const groupId = created.data.groupid;
  assert.match(groupId, /^\d{18}$/);
  assert.equal((await told(tablet, 'create')).id, groupId);
  const pulled = await told(bob, 'directJoined');
  assert.deepEqual([pulled.id, pulled.from, pulled.name], [groupId, 'alice', 'G é']);

  const [info] = (await bob.conn.getGroupInfo({ groupId })).data;
  assert.deepEqual([info.name, info.description, info.owner, info.maxusers, info.custom], ['G é', 'd', 'alice', 300, 'x']);
  assert.deepEqual(info.affiliations.map(({ owner, member }) => owner || member), ['bob', 'alice']);
  assert.deepEqual((await bob.conn.getGroup()).data, [{ groupid: groupId, groupname: 'G é' }]);
  const [joined] = (await bob.conn.getJoinedGroups({ pageNum: 1, pageSize: 20 })).data;
  assert.deepEqual([joined.groupid, joined.role], [groupId, 'member']);
  const [whole] = (await alice.conn.getJoinedGroups({ pageNum: 0, pageSize: 20, needAffiliations: true, needRole: true })).entities;
  assert.deepEqual([whole.groupId, whole.role, whole.affiliationsCount], [groupId, 'owner', 2]);
  assert.equal((await bob.conn.getJoinedGroupsCount()).data, 1);
  assert.deepEqual((await bob.conn.getPublicGroups({ limit: 20 })).data, [{ groupid: groupId, groupname: 'G é' }]);

  await alice.conn.modifyGroup({ groupId, groupName: 'H', description: 'e', ext: 'y' });
  const changed = await told(bob, 'updateInfo');
  assert.deepEqual([changed.detail.name, changed.detail.description, changed.detail.ext], ['H', 'e', 'y']);
  assert.equal((await told(tablet, 'updateInfo')).detail.name, 'H');
  await rejected(bob.conn.modifyGroup({ groupId, groupName: 'x' }), 603);

  await alice.conn.changeGroupOwner({ groupId, newOwner: 'bob' });
  assert.deepEqual([(await told(bob, 'changeOwner')).from], ['alice']);
  await rejected(alice.conn.destroyGroup({ groupId }), 603);
  assert.equal((await bob.conn.destroyGroup({ groupId })).data.success, true);
  assert.equal((await told(alice, 'destroy')).id, groupId);
  await rejected(bob.conn.getGroupInfo({ groupId }), 605);
  await rejected(say(alice, groupId, 'x'), 605);
  await rejected(alice.conn.createGroup({ data: { groupname: 'x', desc: '', members: ['nobody-there'], public: true } }), 204);
});

test('messages reach all members in order, live and later', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  await app.userToken('carol');
  const groupId = await made(app, ['bob', 'carol']);
  await told(bob, 'directJoined');
  const first = await say(alice, groupId, 'one', { ext: { k: 'v' } });
  const heard = await bob.next('onTextMessage');
  assert.deepEqual([heard.msg, heard.from, heard.to, heard.chatType, heard.ext.k, heard.id],
    ['one', 'alice', groupId, 'groupChat', 'v', first.serverMsgId]);
  await say(bob, groupId, 'two');
  assert.equal((await alice.next('onTextMessage')).msg, 'two');
  await bob.send('cmd', groupId, { chatType: 'groupChat', action: 'wave' });
  assert.equal((await alice.next('onCmdMessage')).action, 'wave');
  const carol = await app.device('carol');
  assert.equal((await told(carol, 'directJoined')).id, groupId);
  for (const msg of ['one', 'two']) assert.equal((await carol.next('onTextMessage')).msg, msg);

  const only = await say(alice, groupId, 'for bob', { isChatThread: false, receiverList: ['bob'] });
  assert.ok(only.serverMsgId);
  assert.equal((await bob.next('onTextMessage')).msg, 'for bob');
  await say(alice, groupId, 'for all');
  assert.equal((await carol.next('onTextMessage')).msg, 'for all');
  await rejected(say(alice, groupId, 'x', { receiverList: ['stranger'] }), 602);

  await alice.conn.recallMessage({ mid: first.serverMsgId, to: groupId, chatType: 'groupChat' });
  assert.equal((await bob.next('onRecallMessage')).mid, first.serverMsgId);
  const sent = (await app.ok('POST', '/messages/chatgroups', { body: { from: 'admin', to: [groupId], type: 'txt', body: { msg: 'news' } } })).data;
  const news = await bob.next('onTextMessage', ({ msg }) => msg === 'news');
  assert.deepEqual([news.from, news.id], ['admin', sent[groupId]]);
});

test('an edit in a group is told', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const groupId = await made(app, ['bob']);
  const { serverMsgId: messageId } = await say(alice, groupId, 'teh');
  const modifiedMessage = alice.message('txt', groupId, { chatType: 'groupChat', msg: 'the' });
  await alice.conn.modifyMessage({ messageId, modifiedMessage });
  const edited = await bob.next('onModifiedMessage');
  assert.deepEqual([edited.id, edited.msg, edited.chatType, edited.modifiedInfo.operatorId], [messageId, 'the', 'groupChat', 'alice']);
});

test('people are asked, and answer', async () => {
  const app = await newApp();
  const [alice, bob, carol] = await app.online('alice', 'bob', 'carol');
  const created = await alice.conn.createGroupVNext({
    groupName: 'G', description: 'd', members: ['bob', 'carol'], isPublic: false, inviteNeedConfirm: true,
    needApprovalToJoin: false, allowMemberToInvite: false, maxMemberCount: 50,
  });
  const { groupId } = created.data;
  for (const device of [bob, carol]) {
    const invited = await told(device, 'inviteToJoin');
    assert.deepEqual([invited.id, invited.from, invited.name], [groupId, 'alice', 'G']);
  }
  await rejected(say(bob, groupId, 'x'), 602);
  await bob.conn.acceptGroupInvite({ invitee: 'bob', groupId });
  assert.equal((await told(alice, 'acceptInvite')).from, 'bob');
  const present = await told(alice, 'memberPresence');
  assert.deepEqual([present.from, present.memberCount], ['bob', 2]);
  await carol.conn.rejectGroupInvite({ invitee: 'carol', groupId });
  assert.equal((await told(alice, 'rejectInvite')).from, 'carol');
  await rejected(bob.conn.inviteUsersToGroup({ groupId, users: ['carol'] }), 603);
  await rejected(alice.conn.inviteUsersToGroup({ groupId, users: ['bob'] }), 601);
  await bob.conn.leaveGroup({ groupId });
  const absent = await told(alice, 'memberAbsence');
  assert.deepEqual([absent.from, absent.memberCount], ['bob', 1]);
  await rejected(alice.conn.leaveGroup({ groupId }), 603);
});

test('people ask, and are let in or not', async () => {
  const app = await newApp();
  const [alice, bob, carol] = await app.online('alice', 'bob', 'carol');
  const groupId = await made(app, [], { membersonly: true });
  await bob.conn.joinGroup({ groupId, message: 'pls' });
  const asked = await told(alice, 'requestToJoin');
  assert.deepEqual([asked.from, asked.reason], ['bob', 'pls']);
  await alice.conn.acceptGroupJoinRequest({ applicant: 'bob', groupId });
  assert.equal((await told(bob, 'acceptRequest')).from, 'alice');
  await carol.conn.joinGroup({ groupId, message: 'me too' });
  await told(alice, 'requestToJoin');
  await alice.conn.rejectGroupJoinRequest({ applicant: 'carol', groupId, reason: 'full' });
  const declined = await told(carol, 'joinPublicGroupDeclined');
  assert.deepEqual([declined.from, declined.userId], ['alice', 'carol']);
  const open = await made(app, ['bob']);
  await carol.conn.joinGroup({ groupId: open, message: '' });
  assert.equal((await told(bob, 'memberPresence')).from, 'carol');
  await say(carol, open, 'hello');
  assert.equal((await bob.next('onTextMessage')).msg, 'hello');
});

test('members and admins come and go', async () => {
  const app = await newApp();
  const [alice, bob, carol] = await app.online('alice', 'bob', 'carol');
  const groupId = await made(app, ['bob', 'carol']);
  await Promise.all([told(bob, 'directJoined'), told(carol, 'directJoined')]);
  const page = await alice.conn.getGroupMembers({ groupId, cursor: '', limit: 50 });
  assert.deepEqual(page.data.members.map(({ userId, role }) => `${userId} ${role}`), ['alice owner', 'bob member', 'carol member']);
  assert.deepEqual((await bob.conn.listGroupMembers({ groupId, pageNum: 1, pageSize: 2 })).data, [{ owner: 'alice' }, { member: 'bob' }]);
  await alice.conn.setGroupAdmin({ groupId, username: 'bob' });
  for (const device of [bob, carol]) assert.equal((await told(device, 'setAdmin')).userId, 'bob');
  assert.deepEqual((await carol.conn.getGroupAdmin({ groupId })).data, ['bob']);
  await bob.conn.removeGroupMember({ groupId, username: 'carol' });
  assert.equal((await told(carol, 'removeMember')).from, 'bob');
  assert.equal((await told(alice, 'memberAbsence')).from, 'carol');
  await rejected(bob.conn.removeGroupMember({ groupId, username: 'carol' }), 602);
  await rejected(say(carol, groupId, 'x'), 602);
  await alice.conn.inviteUsersToGroup({ groupId, users: ['carol'] });
  await alice.conn.removeGroupAdmin({ groupId, username: 'bob' });
  await told(bob, 'removeAdmin');
  const several = await alice.conn.removeGroupMembers({ groupId, users: ['bob', 'nobody'] });
  assert.deepEqual(several.data.map(({ result }) => result), [true, false]);
});

test('who is muted cannot speak, who is allowed can', async () => {
  const app = await newApp();
  const [alice, bob, carol] = await app.online('alice', 'bob', 'carol');
  const groupId = await made(app, ['bob', 'carol']);
  const muted = await alice.conn.muteGroupMember({ groupId, username: 'bob', muteDuration: 600_000 });
  assert.equal(muted.data[0].user, 'bob');
  const event = await told(bob, 'muteMember');
  assert.deepEqual([event.userId, Number(event.muteTimestamp)], ['bob', muted.data[0].expire]);
  await rejected(say(bob, groupId, 'x'), 507);
  assert.equal((await bob.conn.isInGroupMutelist({ groupId })).data, true);
  assert.equal((await alice.conn.getGroupMutelist({ groupId })).data[0].user, 'bob');
  await alice.conn.unmuteGroupMember({ groupId, username: 'bob' });
  assert.equal((await told(bob, 'unmuteMember')).userId, 'bob');
  await say(bob, groupId, 'y');
  await alice.conn.disableSendGroupMsg({ groupId });
  await told(carol, 'muteAllMembers');
  await rejected(say(carol, groupId, 'x'), 506);
  await alice.conn.addUsersToGroupAllowlist({ groupId, users: ['carol'] });
  assert.equal((await told(carol, 'addUserToAllowlist')).userId, 'carol');
  await say(carol, groupId, 'allowed');
  assert.deepEqual((await carol.conn.isInGroupAllowlist({ groupId, userName: 'carol' })).data, { member: 'carol', white: true });
  assert.deepEqual((await carol.conn.getGroupAllowlist({ groupId })).data, ['carol']);
  await alice.conn.removeGroupAllowlistMember({ groupId, userName: 'carol' });
  assert.equal((await told(carol, 'removeAllowlistMember')).userId, 'carol');
  await alice.conn.enableSendGroupMsg({ groupId });
  await told(carol, 'unmuteAllMembers');
  await say(carol, groupId, 'free');
  await app.ok('POST', '/mutes', { body: { username: 'carol', groupchat: 600 } });
  await rejected(say(carol, groupId, 'x'), 219);
  await carol.text('bob', 'still here');
});

test('who is blocked is out, and stays out', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const groupId = await made(app, ['bob']);
  const blocked = await alice.conn.blockGroupMember({ groupId, username: 'bob' });
  assert.deepEqual([blocked.data.result, blocked.data.user], [true, 'bob']);
  assert.equal((await told(bob, 'removeMember')).id, groupId);
  assert.deepEqual((await alice.conn.getGroupBlocklist({ groupId })).data, ['bob']);
  await rejected(bob.conn.joinGroup({ groupId, message: '' }), 603);
  await alice.conn.unblockGroupMember({ groupId, username: 'bob' });
  assert.equal((await told(bob, 'unblockMember')).id, groupId);
  await bob.conn.joinGroup({ groupId, message: '' });
  await say(bob, groupId, 'back');
});

test('announcement, attributes, shield and files', async () => {
  const app = await newApp();
  const [alice, bob] = await app.online('alice', 'bob');
  const tablet = await app.device('bob');
  const groupId = await made(app, ['bob']);
  await alice.conn.updateGroupAnnouncement({ groupId, announcement: 'hear' });
  assert.equal((await told(bob, 'updateAnnouncement')).announcement, 'hear');
  assert.equal((await bob.conn.fetchGroupAnnouncement({ groupId })).data.announcement, 'hear');
  await alice.conn.updateGroupAnnouncement({ groupId, announcement: '' });
  await told(bob, 'deleteAnnouncement');

  await bob.conn.setGroupMemberAttributes({ groupId, userId: 'bob', memberAttributes: { nick: 'B' } });
  const changed = await told(alice, 'memberAttributesUpdate');
  assert.deepEqual([changed.userId, changed.attributes], ['bob', { nick: 'B' }]);
  assert.equal((await tablet.next('onMultiDeviceEvent')).operation, 'memberAttributesUpdate');
  assert.deepEqual((await alice.conn.getGroupMemberAttributes({ groupId, userId: 'bob' })).data, { nick: 'B' });
  assert.deepEqual((await alice.conn.getGroupMembersAttributes({ groupId, userIds: ['bob'], keys: ['nick'] })).data, { bob: { nick: 'B' } });

  await bob.conn.blockGroupMessage({ groupId });
  await say(alice, groupId, 'unheard');
  await bob.conn.unblockGroupMessage({ groupId });
  await say(alice, groupId, 'heard');
  assert.equal((await bob.next('onTextMessage')).msg, 'heard');

  const form = new FormData();
  form.append('file', new Blob(['shared']), 'a.txt');
  const authorization = `Bearer ${await app.userToken('bob')}`;
  const uploaded = await fetch(`${app.base}/chatgroups/${groupId}/share_files`, { method: 'POST', headers: { authorization }, body: form });
  const shared = await uploaded.json();
  assert.equal((await told(alice, 'uploadFile')).id, groupId);
  const [file] = (await alice.conn.getGroupSharedFilelist({ groupId, pageNum: 1, pageSize: 10 })).data;
  assert.deepEqual([file.file_id, file.file_name, file.file_owner], [shared.data.file_id, 'a.txt', 'bob']);
  const blob = await new Promise((resolve, reject) => {
    alice.conn.downloadGroupSharedFile({ groupId, fileId: file.file_id, onFileDownloadComplete: resolve, onFileDownloadError: reject });
  });
  assert.equal(await blob.text(), 'shared');
  await bob.conn.deleteGroupSharedFile({ groupId, fileId: file.file_id });
  await told(alice, 'deleteFile');
});

test('an author learns how many have read', async () => {
  const app = await newApp();
  const [alice, bob, carol] = await app.online('alice', 'bob', 'carol');
  const groupId = await made(app, ['bob', 'carol']);
  const { serverMsgId: id } = await say(alice, groupId, 'who reads?', { msgConfig: { allowGroupAck: true } });
  for (const reader of [bob, carol]) {
    await reader.next('onTextMessage');
    await reader.send('read', groupId, { chatType: 'groupChat', id, msgConfig: { allowGroupAck: true }, ackContent: '{}' });
  }
  const counted = await alice.next('onReadMessage', ({ groupReadCount }) => groupReadCount?.[id] === 2);
  assert.equal(counted.mid, id);
  const readers = await alice.conn.getGroupMsgReadUser({ groupId, msgId: id });
  assert.deepEqual([readers.data.total, readers.data.userlist], [2, ['bob', 'carol']]);
});

test('JSON clients are members too', async () => {
  const app = await newApp();
  const alice = await app.device('alice');
  const bob = await app.json('bob');
  const groupId = await made(app, ['bob']);
  const joined = await bob.hear('group');
  assert.deepEqual([joined.change, joined.group, joined.conversation], ['joined', groupId, `g/${groupId}`]);
  await say(alice, groupId, 'hello');
  const heard = await bob.hear('message');
  assert.deepEqual([heard.body.msg, heard.chat, heard.to, heard.conversation], ['hello', 'group', groupId, `g/${groupId}`]);
  assert.equal((await bob.ask({ type: 'send', to: groupId, chat: 'group', body: { type: 'txt', msg: 'hi' } })).type, 'sent');
  const answer = await alice.next('onTextMessage');
  assert.deepEqual([answer.msg, answer.chatType, answer.to], ['hi', 'groupChat', groupId]);
});
