import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { s3Path } from './install.ts';

/** Keys that the server lets in. */
export const s3Keys = { AWS_ACCESS_KEY_ID: 'TESTKEY', AWS_SECRET_ACCESS_KEY: 'test/secret+key' };

/** Starts the S3 server with one bucket, named "bucket". Returns its URL and what ends it. */
export async function startS3(): Promise<{ endpoint: string; stop: () => void }> {
  const program = s3Path();
  if (!existsSync(program))
    throw new Error("the S3 server is not built: run 'sh scripts/node scripts/setup.ts integration'");
  const child = spawn(program, [...Object.values(s3Keys), 'bucket'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const stop = (): void => void child.kill('SIGKILL');
  process.once('exit', stop);
  const address = await new Promise<string>((told) =>
    child.stdout.once('data', (line: Buffer) => told(line.toString().trim())),
  );
  return { endpoint: `http://${address}`, stop };
}
