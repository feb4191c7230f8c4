package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// staleness is for how long one instance goes on accepting a session that another
// one has terminated: of a hundred, all but the longest.
func (b *bench) staleness(ctx context.Context, p *place) (time.Duration, error) {
	const sessions = 100
	if _, err := p.fill(ctx, b.binary, 1_000); err != nil {
		return 0, err
	}
	crowd, err := p.crowd(ctx, sessions, 1_000)
	if err != nil {
		return 0, err
	}
	var at [2]*client
	for i := range at {
		instance, err := p.start(ctx, b.binary)
		if err != nil {
			return 0, err
		}
		defer instance.stop()
		at[i] = anonymous(instance.url)
	}
	time.Sleep(2 * time.Second) // they listen to each other
	late := make([]time.Duration, 0, sessions)
	for _, who := range crowd {
		for _, c := range at {
			c.access, c.refresh = who.access, who.refresh
			if err := getMe(c); err != nil {
				return 0, err
			}
		}
		if status, _, _, err := at[0].exchange("POST", "/api/auth/logout", ""); err != nil || status >= 300 {
			return 0, fmt.Errorf("logout: %d %w", status, err)
		}
		ended := time.Now()
		for {
			asked := time.Since(ended)
			status, _, _, err := at[1].exchange("GET", "/api/auth/me", "")
			if err != nil || asked > 5*time.Second {
				return 0, fmt.Errorf("me after %v: %d %w", asked, status, err)
			}
			if status == 401 {
				late = append(late, asked)
				break
			}
		}
	}
	slices.Sort(late)
	return late[len(late)*99/100-1], nil
}
