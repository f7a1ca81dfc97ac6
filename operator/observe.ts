import { request } from 'node:http';
import { allPrintable } from '../crds/printable.ts';
import { maxProgressBytes, progressSchema } from '../crds/progress.ts';
import type { Progress } from '../crds/progress.ts';
import { trainerPort } from '../crds/run-config.ts';
import type { Answer, ObservedPod } from './decide/observation.ts';

const timeoutMilliseconds = 3000;

/**
 * What a trainer says of itself, or undefined when it does not answer or says what cannot be: too long, not the
 * schema's, or of another pod (an address may have been given to another pod meanwhile).
 */
export async function pollProgress(pod: ObservedPod, port = trainerPort): Promise<Progress | undefined> {
  const host = pod.status?.podIP;
  if (host === undefined || pod.status?.phase !== 'Running') {
    return undefined;
  }
  try {
    const progress = progressSchema.safeParse(JSON.parse(await getBody(host, port))).data;
    return progress?.podUID === pod.metadata.uid ? allPrintable(progress) : undefined;
  } catch {
    return undefined;
  }
}

/** The body of GET /progress. Rejects on any failure, after the time limit, and at the first byte too many. */
function getBody(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMilliseconds);
    const sent = request({ host, port, path: '/progress', signal, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        chunks.push(chunk);
        if (size > maxProgressBytes) {
          // Rejected here, not by destroying alone: the rest of the answer may have arrived already.
          reject(new Error(`/progress is longer than ${maxProgressBytes} bytes`));
          sent.destroy();
        }
      });
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        return response.statusCode === 200 ? resolve(body) : reject(new Error(`status ${response.statusCode}`));
      });
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** The latest answer per DPOJob, by its UID. Since when a heartbeat stands still is known only from answers. */
export class Answers {
  readonly #latest = new Map<string, Answer>();

  /** Takes an answered poll; one with a new heartbeat, or of another pod, restarts the clock. */
  record(uid: string, progress: Progress, now: string): Answer {
    const before = this.#latest.get(uid);
    const still = before?.progress.heartbeat === progress.heartbeat && before.progress.podUID === progress.podUID;
    const answer = { progress, answeredAt: now, heartbeatSince: still ? before.heartbeatSince : now };
    this.#latest.set(uid, answer);
    return answer;
  }

  /** The latest answer of one of these pods; another pod's, of an earlier attempt, is forgotten. */
  of(uid: string, pods: ObservedPod[]): Answer | undefined {
    const answer = this.#latest.get(uid);
    return pods.some(({ metadata }) => metadata.uid === answer?.progress.podUID) ? answer : undefined;
  }

  forget(uid: string): void {
    this.#latest.delete(uid);
  }
}
