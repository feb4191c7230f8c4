package gatehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Mailer tells users what they did not do themselves, perhaps. It leaves the
// process, may be slow and may fail: nobody waits for it.
type Mailer interface {
	// Send delivers a notice. If it fails it is tried again, later and later, for
	// three days. One that was delivered, but of which that could not be kept,
	// comes again with the same ID.
	Send(ctx context.Context, n Notice) error
}

// The kinds of notice.
const (
	NoticeUnfamiliarLogin = "unfamiliar_login" // somebody logged in from a new device or network
	NoticePasswordChanged = "password_changed"
	NoticeRefreshReused   = "refresh_reused"   // a refresh token was stolen, and its session ended
	NoticeRegistered      = "registered_again" // somebody tried to register with the address
)

// Notice is something to tell a user.
type Notice struct {
	ID        string // the same whenever it is tried again
	Kind      string
	User      *User // as of now
	At        time.Time
	Address   string // of the client
	UserAgent string
}

const (
	noticeTask  = "notice"
	noticeLasts = 3 * 24 * time.Hour
	noticeLease = 2 * time.Minute
)

// noticeData is what a task keeps of a notice; the user is read when it is sent.
type noticeData struct {
	Kind      string    `json:"kind"`
	UserID    string    `json:"user_id"`
	At        time.Time `json:"at"`
	Address   string    `json:"address,omitzero"`
	UserAgent string    `json:"user_agent,omitzero"`
}

// notify writes down that a user is to be told; it does nothing without a mailer.
// Strangers can cause notices: of each kind there are a few, and the rest is
// dropped.
func (g *Gatehouse) notify(ctx context.Context, kind, userID string) error {
	_, err := g.writeNotice(ctx, kind, userID)
	return err
}

// writeNotice is notify, and says whether there is a notice now.
func (g *Gatehouse) writeNotice(ctx context.Context, kind, userID string) (bool, error) {
	if g.cfg.Mailer == nil {
		return false, nil
	}
	_, err := g.book(ctx, noticeTask, func() (string, error) { return userID, nil },
		Claim{laneNotice, kind + " " + userID, g.cfg.Limits.Notice})
	if errors.Is(err, Limited) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return false, fmt.Errorf("notice id: %w", err)
	}
	c, t := clientOf(ctx), now()
	data, err := json.Marshal(noticeData{kind, userID, t, c.Address, c.UserAgent})
	if err != nil {
		return false, fmt.Errorf("notice: %w", err)
	}
	task := &Task{ID: id.String(), Kind: noticeTask, Data: data, DueAt: t, CreatedAt: t, ExpiresAt: t.Add(noticeLasts)}
	if err := g.store.CreateTask(ctx, task); err != nil {
		return false, storeFault("notice", err)
	}
	select {
	case g.noticed <- struct{}{}:
	default: // somebody is about to look anyway
	}
	return true, nil
}

// deliver sends notices as they become due, until ctx is done.
func (g *Gatehouse) deliver(ctx context.Context) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		g.attempt(ctx, "deliver notices", noticeLease, g.sendDue)
		select {
		case <-ctx.Done():
			return
		case <-g.noticed:
		case <-tick.C:
		}
	}
}

// sendDue sends what is due, one after the other. Of all processes on one store
// exactly one has the lease of a task.
func (g *Gatehouse) sendDue(ctx context.Context) error {
	for {
		t := now()
		task, err := g.store.ClaimTask(ctx, []string{noticeTask}, t, t.Add(noticeLease))
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("claim notice: %w", err)
		}
		if err := g.send(ctx, task); err != nil {
			// Half a minute, a minute, two, … at most six hours.
			task.DueAt = now().Add(min(30*time.Second<<min(task.Attempts-1, 20), 6*time.Hour))
			task.LeasedUntil = time.Time{}
			return errors.Join(fmt.Errorf("send notice: %w", err), g.store.SaveTask(ctx, task))
		}
		if err := g.store.DeleteTask(ctx, task.ID, task.Version); err != nil && !errors.Is(err, ErrStale) {
			return fmt.Errorf("delete notice: %w", err)
		}
	}
}

func (g *Gatehouse) send(ctx context.Context, task *Task) error {
	var d noticeData
	if err := json.Unmarshal(task.Data, &d); err != nil {
		return err
	}
	u, err := g.User(ctx, d.UserID)
	if errors.Is(err, NotFound) || err == nil && u.Email == "" {
		return nil // there is nobody to tell any more
	}
	if err != nil {
		return err
	}
	return g.cfg.Mailer.Send(ctx, Notice{task.ID, d.Kind, u, d.At, d.Address, d.UserAgent})
}
