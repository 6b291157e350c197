package review

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dynamo-cmp/dynamo-cmp/profile"
)

// The identity of a file of prices.
const (
	pricesVersion = "dynamo-cmp.github.io/v1"
	pricesKind    = "Prices"
)

// Prices is what a GPU costs. A nil one knows none.
type Prices struct {
	Currency string
	gpuHour  map[string]float64 // by spec.hardware.gpuSku
}

// ParsePrices reads a file of prices strictly. The error is a profile.Problems.
func ParsePrices(file string, data []byte) (*Prices, error) {
	refuse := func(format string, args ...any) (*Prices, error) {
		return nil, profile.Problems{{File: file, Message: fmt.Sprintf(format, args...)}}
	}
	var doc struct {
		APIVersion string             `yaml:"apiVersion"`
		Kind       string             `yaml:"kind"`
		Currency   string             `yaml:"currency"`
		GPUHour    map[string]float64 `yaml:"gpuHour"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&doc); err != nil {
		return refuse("%s", strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "yaml: "))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return refuse("holds more than one YAML document")
	}
	switch {
	case doc.APIVersion != pricesVersion || doc.Kind != pricesKind:
		return refuse("is %q of %q, this version reads %s of %s", doc.Kind, doc.APIVersion, pricesKind, pricesVersion)
	case len(doc.GPUHour) == 0:
		return refuse("gpuHour: is missing: the price of an hour of one GPU, by gpuSku")
	case len(doc.Currency) > 8 || strings.ContainsFunc(doc.Currency, func(r rune) bool { return r < 'A' || r > 'Z' }):
		return refuse("currency: is %.20q, want a code such as USD or EUR", doc.Currency)
	}
	for _, sku := range slices.Sorted(maps.Keys(doc.GPUHour)) {
		if price := doc.GPUHour[sku]; price < 0 || math.IsNaN(price) || math.IsInf(price, 0) {
			return refuse("gpuHour.%.50s: is %v, want a price of at least 0", sku, price)
		}
		if !profile.KnownSKU(sku) {
			return refuse("gpuHour.%.50s: no such gpuSku", sku)
		}
	}
	return &Prices{doc.Currency, doc.GPUHour}, nil
}

// perHour is nil where there is no price for the SKU.
func (p *Prices) perHour(sku string, gpus int) *float64 {
	if p == nil {
		return nil
	}
	price, ok := p.gpuHour[sku]
	if !ok && gpus > 0 {
		return nil
	}
	cost := math.Round(price*float64(gpus)*1e6) / 1e6
	return &cost
}
