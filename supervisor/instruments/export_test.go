package instruments

// Defined is a metric of the table.
type Defined struct {
	Name, Kind, Help string
	Labels           []string
}

// Table is of all metrics of a System.
func Table() (all []Defined) {
	for _, m := range table {
		all = append(all, Defined{m.name, m.kind, m.help, m.labels})
	}
	return all
}
