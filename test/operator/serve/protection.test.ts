import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { ApiError } from '../../../operator/cluster/errors.ts';
import type { Cluster, Stored } from '../../../operator/cluster/cluster.ts';
import { readCertificate, renewing } from '../../../operator/serve/certificate.ts';
import { TokenReviewer } from '../../../operator/serve/token-reviewer.ts';

/** For how long an admission holds, and what a bad certificate does. The API server's own answers: integration/metrics.test.ts. */
describe('whose token it is', () => {
  /** Answers reviews as an API server that knows one account, until that is locked out; counts what it is asked. */
  function accounts() {
    const state = { asked: 0, locked: false, down: false, now: 0 };
    const create: Cluster['create'] = async (_resource, _namespace, object) => {
      state.asked += 1;
      if (state.down) throw new ApiError(503, 'ServiceUnavailable', 'etcd is away');
      const { spec } = object as { spec: { token?: string } };
      const known = !state.locked && (spec.token === undefined || spec.token === 'good');
      const status = spec.token === undefined ? { allowed: known } : { authenticated: known, user: { username: 'p' } };
      return { ...object, status } as unknown as Stored;
    };
    return { state, reviewer: new TokenReviewer({ create }, () => state.now) };
  }

  test('is asked once a minute, so that a scrape costs nothing and a lock-out holds soon', async () => {
    const { state, reviewer } = accounts();
    expect(await reviewer.admits('Bearer good', '/metrics')).toBe(200);
    state.locked = true;
    state.now = 59;
    expect([await reviewer.admits('Bearer good', '/metrics'), state.asked]).toEqual([200, 2]);
    state.now = 61;
    expect(await reviewer.admits('Bearer good', '/metrics')).toBe(401);
  });

  test('that was refused is asked again after ten seconds', async () => {
    const { state, reviewer } = accounts();
    state.locked = true;
    expect(await reviewer.admits('Bearer good', '/metrics')).toBe(401);
    state.locked = false;
    state.now = 9;
    expect(await reviewer.admits('Bearer good', '/metrics')).toBe(401);
    state.now = 11;
    expect(await reviewer.admits('Bearer good', '/metrics')).toBe(200);
  });

  test('holds for one path and one token', async () => {
    const { state, reviewer } = accounts();
    await reviewer.admits('Bearer good', '/metrics');
    await reviewer.admits('Bearer good', '/other');
    expect([state.asked, await reviewer.admits('Bearer bad', '/metrics')]).toEqual([4, 401]);
  });

  test('is not known while the API server does not answer: nobody is let in, and it is asked again', async () => {
    const { state, reviewer } = accounts();
    state.down = true;
    await expect(reviewer.admits('Bearer good', '/metrics')).rejects.toThrow(/etcd is away/);
    state.down = false;
    expect(await reviewer.admits('Bearer good', '/metrics')).toBe(200);
  });

  test.each([
    ['nothing', undefined],
    ['an empty header', ''],
    ['no token', 'Bearer '],
    ['a password', 'Basic x'],
    ['two tokens', 'Bearer a b'],
    ['a token longer than any', `Bearer ${'x'.repeat(16_385)}`],
  ])('is not asked of %s', async (_, authorization) => {
    const { state, reviewer } = accounts();
    expect([await reviewer.admits(authorization, '/metrics'), state.asked]).toEqual([401, 0]);
  });
});

describe('a certificate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'certificate-'));
  const made = mkdtempSync(join(tmpdir(), 'made-'));
  const make = (name: string): void => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`];
    const args = ['req', '-x509', ...key, '-subj', `/CN=${name}`, '-out', `${name}.crt`];
    execFileSync('openssl', args, { cwd: made, stdio: 'pipe' });
  };
  const install = (cert: string, key: string): void => {
    copyFileSync(join(made, `${key}.key`), join(folder, 'tls.key'));
    copyFileSync(join(made, `${cert}.crt`), join(folder, 'tls.crt'));
  };

  test('that is renewed with another’s key, or with none, is told, and the one of before stays', async () => {
    ['one', 'two'].forEach(make);
    install('one', 'one');
    const [taken, warned]: [string[], string[]] = [[], []];
    const stop = renewing(
      folder,
      ({ cert }) => taken.push(cert),
      (message) => warned.push(message),
      5,
    );
    install('two', 'one');
    while (warned.length === 0) await sleep(5);
    writeFileSync(join(folder, 'tls.crt'), 'no certificate');
    const before = warned.length;
    while (warned.length <= before) await sleep(5);
    expect([taken, warned.at(-1)]).toEqual([[], expect.stringMatching(/certificate of before is kept/)]);
    install('two', 'two');
    while (taken.length === 0) await sleep(5);
    stop();
    expect(taken).toEqual([readCertificate(folder).cert]);
  });

  test('that is missing keeps the operator from starting', () => {
    expect(() => readCertificate('/nowhere')).toThrow(/tls.crt/);
  });
});
