package gatehouse

// FictitiousKind is the kind of hash that an absent user has, for tests.
func (g *Gatehouse) FictitiousKind(emailKey string) string { return string(g.fictitiousKind(emailKey)) }
