import { spawnSync } from 'node:child_process';

/**
 * `npm run audit`: asks the registry for known vulnerabilities of what is in the images, and fails for those that are high
 * or critical. A mirror often has no such service: then it says that nothing was audited and does not fail, since that is
 * no finding. Continuous integration runs it before the tests.
 */
export interface Verdict {
  ok: boolean;
  says: string;
}

interface Report {
  metadata?: { vulnerabilities?: Record<string, number> };
  vulnerabilities?: Record<string, { severity: string }>;
  message?: string;
  error?: { summary?: string };
}

const grave = new Set(['high', 'critical']);

/** What follows from the output of `npm audit --json`. */
export function verdict(output: string): Verdict {
  const report = parse(output);
  const counts = report.metadata?.vulnerabilities;
  if (counts === undefined) {
    const why = report.message ?? report.error?.summary ?? 'no answer';
    return { ok: true, says: `NOT audited: the registry tells nothing of vulnerabilities (${why.slice(0, 200)})` };
  }
  const found = Object.entries(report.vulnerabilities ?? {});
  const bad = found
    .filter(([, { severity }]) => grave.has(severity))
    .map(([name, { severity }]) => `${name} (${severity})`);
  const says = bad.length > 0 ? `vulnerable: ${bad.join(', ')}` : `nothing high or critical, ${found.length} lesser`;
  return { ok: bad.length === 0, says };
}

function parse(output: string): Report {
  try {
    return (JSON.parse(output) ?? {}) as Report;
  } catch {
    return {};
  }
}

if (process.argv[1] === import.meta.filename) {
  const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { encoding: 'utf8', maxBuffer: 1 << 26 });
  const { ok, says } = verdict(stdout ?? '');
  console.log(`audit: ${says}`);
  process.exitCode = ok ? 0 : 1;
}
