'use strict';
// A real Chromium.

const fs = require('node:fs');
const { chromium } = require('playwright-core');

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
];

function browserPath() {
  const found = [process.env.E2E_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find((file) => file && fs.existsSync(file));
  if (!found) throw new Error('no Chromium: install the Debian package chromium, or set E2E_CHROMIUM');
  return found;
}

function launch() {
  return chromium.launch({ executablePath: browserPath(), args: FLAGS });
}

module.exports = { launch };
