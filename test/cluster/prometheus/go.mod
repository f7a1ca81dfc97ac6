module dpo-operator/test/cluster/prometheus

go 1.25.0
