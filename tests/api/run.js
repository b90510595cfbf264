'use strict';
// Calls the REST surface as its own description says, with whatever a generator finds: no answer may be a 5xx or differ from the
// description. Starts a server of its own.
//   node tests/api/run.js <the schemathesis command> [examples per operation]

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { App } = require('../e2e/lib/app');
const { Server } = require('../e2e/lib/server');

const CHECKS = ['not_a_server_error', 'status_code_conformance', 'content_type_conformance', 'response_schema_conformance'];
/** The names that the generator uses where it can: people who exist, so that calls reach what they do. */
const PEOPLE = ['alice', 'bob', 'carol'];
const GROUPS = ['1001', '1002'];

/** The description, with these people, thread and room as examples of names, and without what is not below the app. */
function prepared(description, { thread, room }) {
  const document = JSON.parse(description);
  document.paths = Object.fromEntries(Object.entries(document.paths).filter(([, item]) => !item.servers));
  const visit = (value) => {
    if (!value || typeof value !== 'object') return;
    if (Array.isArray(value.parameters)) {
      for (const parameter of value.parameters) {
        if (['username', 'peer', 'member'].includes(parameter.name)) parameter.schema = { enum: PEOPLE };
        if (parameter.name === 'group') parameter.schema = { enum: GROUPS };
        if (parameter.name === 'thread') parameter.schema = { enum: [thread] };
        if (parameter.name === 'room') parameter.schema = { enum: [room] };
      }
    }
    for (const name of ['usernames', 'targets', 'check_list', 'to', 'target']) {
      const list = value.properties?.[name];
      if (list?.items) list.items = { anyOf: [{ enum: PEOPLE }, list.items] };
    }
    Object.values(value).forEach(visit);
  };
  visit(document);
  return document;
}

(async () => {
  const [command, examples = '30'] = process.argv.slice(2);
  const server = await Server.start({ name: 'api' });
  const app = await App.create({ registration: 'authorized' }, server);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'meridian-api-'));
  let failed = 1;
  try {
    for (const name of PEOPLE) await app.register(name, 'pw');
    for (const groupid of GROUPS) {
      await app.ok('POST', '/chatgroups', { body: { groupid, groupname: 'G', description: '', public: true, owner: PEOPLE[0] } });
    }
    const said = await app.ok('POST', '/messages/chatgroups', {
      body: { from: PEOPLE[0], to: [GROUPS[0]], type: 'txt', body: { msg: 'about this' } },
    });
    const begun = { group_id: GROUPS[0], msg_id: said.data[GROUPS[0]], name: 'T', owner: PEOPLE[0] };
    const thread = (await app.ok('POST', '/thread', { body: begun })).data.thread_id;
    const open = { name: 'R', description: '', owner: PEOPLE[0], members: PEOPLE.slice(1) };
    const room = (await app.ok('POST', '/chatrooms', { body: open })).data.id;
    const described = await fetch(`${server.rest}/openapi.json`);
    if (described.status !== 200) throw new Error(`/openapi.json: ${described.status}`);
    const file = path.join(folder, 'openapi.json');
    fs.writeFileSync(file, JSON.stringify(prepared(await described.text(), { thread, room })));
    const token = await app.token();
    const run = (...which) => new Promise((resolve) => {
      const fuzzing = spawn(command, [
        'run', file, '--url', app.base, '--header', `Authorization: Bearer ${token}`, '--checks', CHECKS.join(','),
        '--max-examples', examples, '--seed', '1', '--workers', '2', '--phases', 'coverage,fuzzing', '--no-color', '--warnings', 'off',
        '--generation-database', 'none', '--request-timeout', '30', '--continue-on-failure', ...which,
      ], { stdio: 'inherit', cwd: folder });
      fuzzing.once('exit', (status) => resolve(status ?? 1));
    });
    // What deletes people and groups comes last: nothing else has much to do without them.
    const deletes = '^(users\\.delete|groups\\.destroy|threads\\.destroy)';
    failed = await run('--exclude-operation-id-regex', deletes) + await run('--include-operation-id-regex', deletes);
    await app.ok('GET', '/users');
  } finally {
    await server.kill();
    server.removeData();
    fs.rmSync(folder, { recursive: true, force: true });
  }
  process.exit(failed ? 1 : 0);
})();
