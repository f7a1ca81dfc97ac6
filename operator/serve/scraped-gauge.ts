import { Gauge, type GaugeConfiguration, type MetricObjectWithValues, type MetricValue } from 'prom-client';

/**
 * A gauge whose samples are made while it is scraped, and kept by nobody: those of thousands of DPOJobs are a hundred
 * thousand, and say again what the stored objects say already.
 */
export class ScrapedGauge extends Gauge {
  readonly #samples: () => Iterable<MetricValue<string>>;

  constructor(configuration: GaugeConfiguration<string>, samples: () => Iterable<MetricValue<string>>) {
    super(configuration);
    this.#samples = samples;
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    const { values: _none, ...described } = await super.get();
    // The registry only goes through them, once, line by line.
    return { ...described, values: this.#samples() as MetricValue<string>[] };
  }
}
