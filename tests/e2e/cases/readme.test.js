'use strict';
// The script of the project's README, as anyone would paste it.
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { Server, ROOT } = require('../lib/server');

test('the README\'s script prints what the README says', async () => {
  const readme = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const [, script] = /```js\n([\s\S]*?)```/.exec(readme);
  const [, promised] = /It prints `([^`]*)`/.exec(readme);
  assert.ok(script.includes('127.0.0.1:8080'));
  const server = await Server.start({ name: 'readme' });
  try {
    const here = script.replaceAll('127.0.0.1:8080', server.listen);
    const node = spawn(process.execPath, ['-e', here], { cwd: path.join(__dirname, '..') });
    let output = '';
    node.stdout.on('data', (chunk) => (output += chunk));
    node.stderr.on('data', (chunk) => (output += chunk));
    const late = setTimeout(() => node.kill(), 20_000);
    const code = await new Promise((resolve) => node.once('exit', resolve));
    clearTimeout(late);
    assert.equal(output.trim(), promised);
    assert.equal(code, 0);
  } finally {
    await server.kill();
    server.removeData();
  }
});
