package gatehouse

import (
	"context"
	"slices"
)

const (
	maxRole  = 32 // characters of a role
	maxRoles = 32 // roles of a user: all of them travel in a cookie
)

// HasRole reports whether the user has the role.
func (u *User) HasRole(role string) bool { return slices.Contains(u.Roles, role) }

// GrantRole gives the user a role; having it already is no error. Invalid if
// the role is not 1 to 32 of a-z, 0-9, '.', '_', ':' and '-', or if the user
// has 32 roles.
func (g *Gatehouse) GrantRole(ctx context.Context, id, role string) (*User, error) {
	if _, err := checkRoles([]string{role}); err != nil {
		return nil, err
	}
	e := Event{Kind: EventRoleGranted, Data: map[string]string{"role": role}}
	return g.administer(ctx, id, e, func(u *User) error {
		if u.HasRole(role) {
			return errUnchanged
		}
		roles, err := checkRoles(append(slices.Clone(u.Roles), role))
		u.Roles = roles
		return err
	})
}

// RevokeRole takes a role from the user; not having it is no error. Requests
// after it are decided without the role, whatever their access token says.
func (g *Gatehouse) RevokeRole(ctx context.Context, id, role string) (*User, error) {
	e := Event{Kind: EventRoleRevoked, Data: map[string]string{"role": role}}
	return g.administer(ctx, id, e, func(u *User) error {
		if !u.HasRole(role) {
			return errUnchanged
		}
		u.Roles = slices.DeleteFunc(u.Roles, func(r string) bool { return r == role })
		return nil
	})
}

// checkRoles is the roles sorted and without duplicates.
func checkRoles(roles []string) ([]string, error) {
	for _, r := range roles {
		ok := r != "" && len(r) <= maxRole
		for _, c := range []byte(r) {
			ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == ':' || c == '-')
		}
		if !ok {
			return nil, &Error{Kind: Invalid, Code: "role_invalid", Field: "role", Text: "A role is 1 to 32 of a-z, 0-9, '.', '_', ':' and '-'."}
		}
	}
	roles = slices.Compact(slices.Sorted(slices.Values(roles)))
	if len(roles) > maxRoles {
		return nil, &Error{Kind: Invalid, Code: "too_many_roles", Field: "role", Text: "A user has at most 32 roles."}
	}
	return roles, nil
}
