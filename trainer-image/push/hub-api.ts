import { z } from 'zod';
import { TrainerError } from '../errors.ts';
import { getJson, getText, request, type Ask, type Asker } from '../sources/http.ts';

/** Requests to the Hub with a token. Throws as `request` does, and InvalidConfiguration for an answer of another kind. */
export class HubApi {
  readonly endpoint: string;
  readonly asker: Asker;
  readonly #token: string;

  constructor(endpoint: string, token: string, asker: Asker) {
    this.endpoint = endpoint;
    this.asker = asker;
    this.#token = token;
  }

  get(path: string, more: Record<string, string> = {}): Ask {
    const own = { ...more, authorization: `Bearer ${this.#token}` };
    return { url: `${this.endpoint}${path}`, headers: (given) => ({ ...given, ...own }) };
  }

  post(path: string, body: object | string, type = 'application/json'): Ask {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return { ...this.get(path, { 'content-type': type }), method: 'POST', body: text };
  }

  /** The answer's status, one of 2xx or of `also`. */
  async send(ask: Ask, also: number[] = []): Promise<number> {
    const { response } = await request(ask, this.asker, { also });
    await response.body?.cancel();
    return response.status;
  }

  text = (ask: Ask): Promise<string> => getText(ask, this.asker);

  async json<T>(ask: Ask, schema: z.ZodType<T>): Promise<T> {
    const answer = schema.safeParse(await getJson(ask, this.asker));
    if (answer.success) return answer.data;
    const message = `${this.asker.field}: ${this.endpoint} does not answer as the Hub does: ${z.prettifyError(answer.error)}`;
    throw new TrainerError('InvalidConfiguration', message);
  }
}
