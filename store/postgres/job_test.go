package postgres

var jobs = map[string]func(url string) error{}
