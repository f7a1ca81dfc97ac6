import { createServer, type Server } from 'node:http';
import type { Progress } from '../crds/progress.ts';
import { TrainerError } from './errors.ts';
import type { TrainerMetrics } from './metrics/registry.ts';
import { progressBody } from './records.ts';

/**
 * Serves /metrics, /progress and /healthz on the main thread, which training never blocks. Throws InvalidConfiguration
 * when the port cannot be opened.
 */
export function serve(port: number, metrics: TrainerMetrics, progress: () => Progress | undefined): Promise<Server> {
  const answer = async (path: string): Promise<[number, string, string]> => {
    if (path === '/healthz') return [200, 'text/plain', 'ok\n'];
    if (path === '/metrics') return [200, metrics.registry.contentType, await metrics.registry.metrics()];
    if (path === '/progress') {
      const latest = progress();
      return latest === undefined
        ? [503, 'text/plain', 'no progress yet\n']
        : [200, 'application/json', progressBody(latest)];
    }
    return [404, 'text/plain', 'see /metrics, /progress and /healthz\n'];
  };
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0] as string;
    const respond = async (): Promise<void> => {
      const [status, type, body] = await answer(path);
      response.writeHead(status, { 'content-type': type }).end(body);
    };
    void respond();
  });
  return new Promise((resolve, reject) => {
    const refuse = (error: unknown): void => {
      const message = `--port ${port} cannot be opened (${(error as NodeJS.ErrnoException).code}): choose another, or 0 for any`;
      reject(new TrainerError('InvalidConfiguration', message, { cause: error }));
    };
    server.once('error', refuse);
    try {
      server.listen(port, () => resolve(server));
    } catch (error) {
      refuse(error);
    }
  });
}
