package gatehouse

import (
	"context"
	"slices"
)

// Activity is up to limit events that a user wants to know of, the newest first:
// what happened to the user and to the sessions, refused tries included. What is
// internal to us is not among them.
func (g *Gatehouse) Activity(ctx context.Context, userID string, limit int) ([]*Event, error) {
	limit = min(max(limit, 1), 100)
	// Few events of a user are internal, so one page is mostly enough. It is never
	// more than ten, however many there are.
	looked, list := 0, []*Event(nil)
	for e, err := range g.WalkEvents(ctx, EventQuery{UserID: userID, Limit: 100}) {
		if err != nil {
			return nil, err
		}
		if slices.Contains(activityKinds, e.Kind) {
			list = append(list, e)
		}
		if looked++; len(list) == limit || looked == 1000 {
			break
		}
	}
	return list, nil
}

// ActivityKinds are the kinds of event that [Gatehouse.Activity] shows, for pages
// that need words for each.
func ActivityKinds() []string { return slices.Clone(activityKinds) }

var activityKinds = []string{
	EventRegister, EventLogin, EventLogout, EventReauthenticate, EventRefreshReused, EventSessionTerminated,
	EventSessionsTerminated, EventPasswordChanged, EventNameChanged, EventUserDisabled, EventUserEnabled,
	EventRoleGranted, EventRoleRevoked, EventUnfamiliarLogin, EventLimited,
}
