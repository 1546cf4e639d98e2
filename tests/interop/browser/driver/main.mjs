// Drives one browser for one test: a line of JSON in, a line of JSON out, in the order in which they finish.
//
//   node main.mjs MODULES      MODULES: the folder into which package-lock.json was installed
//   <- {"id":1,"do":"start","browser":"chromium",…}
//   -> {"id":1,"value":{…}}  or  {"id":1,"error":"…"}
//
// The commands of the browser are in browser.mjs, those of a page in page.mjs; what runs inside of pages is
// in inside.js. The browser ends with this process, and this process ends with its standard input.

import { createInterface } from 'node:readline';
import { Browser } from './browser.mjs';

const browser = new Browser(process.argv[2]);

// A page that goes away under a command fails that command and nothing else.
process.on('unhandledRejection', (error) => console.error('unhandled:', error));

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

async function obey({ id, do: verb, timeout_ms: patience = 10_000, ...rest }) {
  try {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${verb}: nothing came in ${patience} ms`)), patience + 1_000);
    });
    const value = await Promise.race([browser.obey(verb, { patience, ...rest }), late]);
    clearTimeout(timer);
    say({ id, value: value ?? null });
  } catch (error) {
    say({ id, error: String(error?.stack ?? error) });
  }
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => obey(JSON.parse(line)));
lines.on('close', () => {
  browser.kill();
  process.exit(0);
});
