package mongo

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

type settingDocument struct {
	Name      string    `bson:"_id"`
	Version   int64     `bson:"version"`
	Value     []byte    `bson:"value,omitempty"`
	UpdatedAt time.Time `bson:"updated_at,omitempty"`
}

func encodeSetting(x *gatehouse.Setting, version int64) settingDocument {
	return settingDocument{x.Name, version, x.Value, x.UpdatedAt}
}

func decodeSetting(d *settingDocument) *gatehouse.Setting {
	return &gatehouse.Setting{Name: d.Name, Version: d.Version, Value: d.Value, UpdatedAt: d.UpdatedAt}
}

// Setting implements [gatehouse.Store].
func (s *Store) Setting(ctx context.Context, name string) (*gatehouse.Setting, error) {
	return find(ctx, s, "setting", s.settings, byID(name), decodeSetting)
}

// SaveSetting implements [gatehouse.Store].
func (s *Store) SaveSetting(ctx context.Context, x *gatehouse.Setting) error {
	var err error
	if d := encodeSetting(x, x.Version+1); x.Version == 0 {
		err = create(ctx, s, "save setting", s.settings, d)
		if errors.Is(err, gatehouse.ErrExists) {
			err = gatehouse.ErrStale
		}
	} else {
		err = save(ctx, s, "save setting", s.settings, x.Name, x.Version, d)
	}
	if err != nil {
		return err
	}
	x.Version++
	return nil
}
