/** The lines of a body of UTF-8 text, as they arrive. `beat` is called for each piece that came. */
export async function* lines(body: AsyncIterable<Uint8Array>, beat: () => void): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const piece of body) {
    beat();
    const parts = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    yield* parts.filter((line) => line !== '');
  }
}
