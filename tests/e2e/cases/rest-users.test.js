'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { fixture } = require('../lib/app');
const { rejection } = require('../lib/sdk');

const newApp = fixture(test);

test('open registration: anyone, one object, and the envelope', async () => {
  const app = await newApp();
  const answer = await app.ok('POST', '/users', { token: null, body: { username: 'Ann', password: 'secret', nickname: 'A' } });
  assert.deepEqual([answer.action, answer.path, answer.organization, answer.applicationName], ['post', '/users', app.org, app.name]);
  // Of several cores, the one that was asked.
  assert.match(answer.uri, new RegExp(`^http://127\\.0\\.0\\.1:\\d+/${app.org}/${app.name}/users$`));
  for (const field of ['timestamp', 'duration']) assert.equal(typeof answer[field], 'number');
  const [user] = answer.entities;
  assert.deepEqual([user.username, user.type, user.activated, user.nickname], ['ann', 'user', true, 'A']);
  assert.equal(user.uuid.length, 36);
  assert.equal(user.created, user.modified);
});

test('authorised registration: 401 without the app token', async () => {
  const app = await newApp({ registration: 'authorized' });
  const refused = await app.call('POST', '/users', { token: null, body: { username: 'ann', password: 'x' } });
  assert.deepEqual([refused.status, refused.body.error], [401, 'unauthorized']);
  assert.match(refused.body.error_description, /Open registration doesn't allow/);
  await app.ok('POST', '/users', { body: { username: 'ann', password: 'x' } });
});

test('the SDK registers a user and logs in with the password', async () => {
  const app = await newApp();
  const client = app.client('carol');
  const made = await client.conn.registerUser({ username: 'carol', password: 'pw123', nickname: 'C' });
  assert.equal(made.entities[0].username, 'carol');
  await client.open({ pwd: 'pw123' });
});

test('a name that exists is refused in words that the SDK knows', async () => {
  const app = await newApp();
  await app.register('ann', 'x');
  const again = await app.call('POST', '/users', { body: { username: 'ANN', password: 'y' } });
  assert.deepEqual([again.status, again.body.error], [400, 'duplicate_unique_property_exists']);
  assert.match(again.body.error_description, /username be unique, value of ann exists/);
  const error = await rejection(app.client('ann').conn.registerUser({ username: 'ann', password: 'y' }));
  assert.match(error.message, /username be unique/);
});

test('names and passwords that break the rules are refused with the documented words', async () => {
  const app = await newApp();
  const post = async (body) => {
    const { status, body: said } = await app.call('POST', '/users', { body });
    return [status, said.error, said.error_description];
  };
  assert.deepEqual(await post({ username: 'a b', password: 'x' }), [400, 'illegal_argument', 'username [a b] is not legal']);
  assert.deepEqual(await post({ username: 'x'.repeat(65), password: 'x' }), [400, 'illegal_argument', 'USERNAME_TOO_LONG']);
  assert.deepEqual(await post({ password: 'x' }), [400, 'illegal_argument', 'Entity user requires a property named username']);
  assert.equal((await post({ username: 'ann', password: 'x'.repeat(65) }))[0], 400);
  assert.equal((await post({ username: 'ann', password: 'x', nickname: 'n'.repeat(101) }))[2], 'NICKNAME_TOO_LONG');
  const open = await app.call('POST', '/users', { token: null, body: { username: 'ann' } });
  assert.equal(open.body.error_description, 'password or pin must provided');
});

test('batch registration: new ones in order, existing ones reported, one bad name fails all', async () => {
  const app = await newApp();
  await app.register('ann', 'x');
  const body = ['bob', 'ann', 'cat'].map((username) => ({ username, password: 'pw' }));
  const answer = await app.ok('POST', '/users', { body });
  assert.deepEqual(answer.entities.map((user) => user.username), ['bob', 'cat']);
  assert.deepEqual(answer.data, [{ username: 'ann', registerUserFailReason: 'the ann already exists' }]);
  const bad = await app.call('POST', '/users', { body: [{ username: 'dan', password: 'x' }, { username: 'e e', password: 'x' }] });
  assert.equal(bad.status, 400);
  assert.equal((await app.call('GET', '/users/dan')).status, 404);
  const many = Array.from({ length: 61 }, (_, n) => ({ username: `u${n}`, password: 'x' }));
  const tooMany = await app.call('POST', '/users', { body: many });
  assert.match(tooMany.body.error_description, /Request body array size\[61\]/);
});

test('reading a user: by name, by uuid, oneself; not another with a user token', async () => {
  const app = await newApp();
  const { entities: [made] } = await app.register('ann', 'x');
  await app.userToken('bob');
  const byName = await app.ok('GET', '/users/ann');
  assert.deepEqual([byName.entities[0].uuid, byName.count], [made.uuid, 1]);
  assert.equal((await app.ok('GET', `/users/${made.uuid}`)).entities[0].username, 'ann');
  await app.ok('GET', '/users/ann', { token: await app.userToken('ann') });
  const other = await app.call('GET', '/users/ann', { token: await app.userToken('bob') });
  assert.deepEqual([other.status, other.body.error], [401, 'unauthorized']);
  const none = await app.call('GET', '/users/nobody');
  assert.deepEqual([none.status, none.body.error], [404, 'service_resource_not_found']);
});

test('paging through the users: each once, in order of creation, no cursor on the last page', async () => {
  const app = await newApp();
  const names = Array.from({ length: 23 }, (_, n) => `user${String.fromCharCode(122 - n)}`);
  for (const username of names) await app.ok('POST', '/users', { body: { username, password: 'pw' } });
  const seen = [];
  let cursor;
  let pages = 0;
  do {
    const page = await app.ok('GET', `/users?limit=5${cursor ? `&cursor=${cursor}` : ''}`);
    assert.deepEqual(page.params.limit, ['5']);
    assert.equal(page.count, page.entities.length);
    seen.push(...page.entities.map((user) => user.username));
    assert.notEqual(page.cursor, '');
    cursor = page.cursor;
    pages += 1;
  } while (cursor);
  assert.deepEqual(seen, names);
  assert.ok(pages <= 6);
  assert.equal((await app.ok('GET', '/users')).entities.length, 10);
});

test('deleting one user, and the oldest of many', async () => {
  const app = await newApp();
  for (const username of ['ann', 'bob', 'cat', 'dan']) await app.register(username, 'pw');
  assert.equal((await app.ok('DELETE', '/users/bob')).entities[0].username, 'bob');
  assert.equal((await app.call('DELETE', '/users/bob')).status >= 400, true);
  const batch = await app.ok('DELETE', '/users?limit=2');
  assert.deepEqual(batch.entities.map((user) => user.username).sort(), ['ann', 'cat']);
  assert.deepEqual((await app.ok('GET', '/users')).entities.map((user) => user.username), ['dan']);
});

test('a deleted name may be registered again, and is another user', async () => {
  const app = await newApp();
  const first = (await app.register('ann', 'x')).entities[0];
  const token = await app.userToken('ann');
  await app.ok('DELETE', '/users/ann');
  const second = (await app.register('ann', 'y')).entities[0];
  assert.notEqual(first.uuid, second.uuid);
  assert.equal((await app.call('GET', '/users/ann', { token })).status, 401);
});

test('a password is set; the old one is not needed with the app token', async () => {
  const app = await newApp();
  await app.register('ann', 'old');
  const missing = await app.call('PUT', '/users/ann/password', { body: {} });
  assert.equal(missing.body.error_description, 'newpassword is required');
  const answer = await app.ok('PUT', '/users/ann/password', { body: { newpassword: 'newpw1' } });
  assert.equal(answer.action, 'set user password');
  const grant = (password) => app.call('POST', '/token', { token: null, body: { grant_type: 'password', username: 'ann', password } });
  assert.equal((await grant('old')).status, 400);
  assert.equal((await grant('newpw1')).status, 200);
  assert.equal((await app.call('PUT', '/users/nobody/password', { body: { newpassword: 'x12345' } })).status >= 400, true);
});

test('ban and its end', async () => {
  const app = await newApp();
  await app.register('ann', 'pw');
  const banned = await app.ok('POST', '/users/ann/deactivate');
  assert.deepEqual([banned.action, banned.entities[0].activated], ['Deactivate user', false]);
  const grant = await app.call('POST', '/token', { token: null, body: { grant_type: 'password', username: 'ann', password: 'pw' } });
  assert.deepEqual([grant.status, grant.body.error, grant.body.error_description], [400, 'invalid_grant', 'user not activated']);
  assert.equal((await app.ok('POST', '/users/ann/activate')).action, 'activate user');
  assert.equal((await app.ok('GET', '/users/ann')).entities[0].activated, true);
});

test('online state: one, many, unknown names', async () => {
  const app = await newApp();
  await app.online('ann');
  await app.userToken('bob');
  const one = await app.ok('GET', '/users/ann/status');
  assert.deepEqual(one.data, { ann: 'online' });
  const many = await app.ok('POST', '/users/batch/status', { body: { usernames: ['bob', 'ann', 'ghost'] } });
  assert.equal(many.action, 'get batch user status');
  assert.deepEqual(many.data, [{ bob: 'offline' }, { ann: 'online' }, { ghost: 'offline' }]);
  const tooMany = await app.call('POST', '/users/batch/status', { body: { usernames: Array(101).fill('x') } });
  assert.match(tooMany.body.error_description, /maximum limit is 100/);
});

test('the devices of a user, as the SDK asks for them', async () => {
  const app = await newApp();
  const [phone, desk] = [await app.device('ann'), await app.device('ann')];
  const { data } = await app.ok('GET', '/users/ann/resources');
  assert.deepEqual(data.map((device) => device.res).sort(), [phone.resource, desk.resource].sort());
  const others = await phone.conn.getSelfIdsOnOtherPlatform();
  assert.deepEqual(others.data, [`ann/${desk.resource}`]);
});

test('the offline count and the state of one message', async () => {
  const app = await newApp();
  const [alice] = await app.online('alice');
  await app.userToken('bob');
  const ids = [];
  for (let n = 0; n < 3; n += 1) ids.push((await alice.text('bob', `${n}`)).serverMsgId);
  assert.deepEqual((await app.ok('GET', '/users/bob/offline_msg_count')).data, { bob: 3 });
  const state = async (id) => (await app.ok('GET', `/users/bob/offline_msg_status/${id}`)).data[id];
  assert.equal(await state(ids[1]), 'undelivered');
  const bob = await app.device('bob');
  await bob.count('onTextMessage', 3);
  await app.caughtUp('bob');
  assert.equal(await state(ids[1]), 'delivered');
});
