'use strict';
// The demo page of a fresh server, as a person would use it: two tabs, a message, a picture, receipts, a restart.
const test = require('node:test');
const assert = require('node:assert/strict');
const path = require('node:path');
const { launch } = require('../lib/browser');
const { png } = require('../lib/media');
const { Server } = require('../lib/server');

const ARTIFACTS = path.join(__dirname, '../artifacts');

test('two tabs chat on a fresh server, and go on after it restarts', { timeout: 120_000 }, async () => {
  const server = await Server.start({ name: 'demo' });
  const browser = await launch();
  try {
    const context = await browser.newContext({ viewport: { width: 760, height: 560 } });
    const problems = [];
    const open = async (name, peer) => {
      const page = await context.newPage();
      page.on('pageerror', (error) => problems.push(String(error)));
      await page.goto(`http://${server.listen}/`);
      await page.fill('#name', name);
      await page.click('#login-form button');
      await page.getByText('online', { exact: true }).waitFor();
      await page.fill('#peer', peer);
      await page.press('#peer', 'Enter');
      return page;
    };
    const write = async (page, text) => {
      await page.fill('#text', text);
      await page.press('#text', 'Enter');
    };
    const [ann, ben] = [await open('ann', 'ben'), await open('ben', 'ann')];
    await write(ann, 'hello <b>ben</b>');
    await ben.getByText('hello <b>ben</b>').waitFor();
    await write(ben, 'hello ann, 你好');
    await ann.getByText('hello ann, 你好').waitFor();
    await ann.setInputFiles('#file', { name: 'red.png', mimeType: 'image/png', buffer: png(320, 200) });
    await ben.waitForFunction(() => document.querySelector('.message:not(.own) img')?.naturalWidth === 320);
    await ann.locator('.own small', { hasText: '✓✓' }).first().waitFor();

    const [, port] = server.listen.split(':');
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
    await ann.getByText('reconnecting …').waitFor();
    await write(ann, 'written while it was away');
    server.listenArg = `127.0.0.1:${port}`;
    await server.start();
    await ben.getByText('written while it was away').waitFor({ timeout: 60_000 });
    await ben.screenshot({ path: path.join(ARTIFACTS, 'demo.png') });
    const texts = await ben.locator('.message:not(.own)').allInnerTexts();
    assert.equal(texts.filter((text) => text.includes('written while')).length, 1);
    assert.deepEqual(problems, []);
    await ann.reload();
    await ann.getByText('online', { exact: true }).waitFor();
  } finally {
    await browser.close();
    await server.kill();
    server.removeData();
  }
});

test('without the demo app there is no page', async () => {
  const server = await Server.start({ name: 'no-demo', env: { MERIDIAN_DEMO_APP: 'false' } });
  try {
    assert.equal((await fetch(`http://${server.listen}/`)).status, 404);
    assert.equal((await fetch(`http://${server.listen}/demo/chat.js`)).status, 404);
  } finally {
    await server.kill();
    server.removeData();
  }
});
