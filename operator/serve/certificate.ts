import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';

/** A certificate with its chain and its private key, both PEM. */
export interface Certificate {
  cert: string;
  key: string;
}

const renewMilliseconds = 10_000;

/** Reads `tls.crt` and `tls.key`, as a Secret is mounted. Throws when they are missing or do not belong together. */
export function readCertificate(folder: string): Certificate {
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const certificate = { cert: read('tls.crt'), key: read('tls.key') };
  try {
    createSecureContext(certificate);
  } catch (error) {
    throw new Error(`${folder}: tls.crt and tls.key are no certificate (${(error as Error).message})`, {
      cause: error,
    });
  }
  return certificate;
}

/**
 * Looks again and again whether the certificate was renewed and hands a new one on; a bad one is told and the old one
 * stays. Returns what ends it.
 */
export function renewing(
  folder: string,
  take: (certificate: Certificate) => void,
  warn: (message: string) => void,
  every = renewMilliseconds,
): () => void {
  let last = readCertificate(folder).cert;
  const look = (): void => {
    try {
      const found = readCertificate(folder);
      if (found.cert !== last) take(found);
      last = found.cert;
    } catch (error) {
      warn(`the certificate of before is kept: ${(error as Error).message}`);
    }
  };
  const timer = setInterval(look, every).unref();
  return () => clearInterval(timer);
}
