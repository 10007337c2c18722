package sys

import (
	"context"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/version"
)

var metricsFields = logical.Fields{
	"format": {Type: logical.Text, Help: "prometheus, or empty for JSON."},
}

var infoRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "host-info", Do: (*system).hostInfo, Help: "Tell about the machine."},
	{Op: logical.Read, Path: "metrics", Do: (*system).metrics, Fields: metricsFields, Help: "Read the server's metrics."},
	{Op: logical.Write, Path: "seal", Do: (*system).seal, Sudo: true, Help: "Seal the server."},
	{Op: logical.Write, Path: "step-down", Do: (*system).stepDown, Sudo: true, Help: "Does nothing: no other node takes over."},
	{Op: logical.Read, Path: "rekey/backup", Do: (*system).rekeyBackup, Sudo: true, Help: "Read copies of new unseal keys, of which none are kept."},
	{Op: logical.Delete, Path: "rekey/backup", Do: (*system).deleteRekeyBackup, Sudo: true, Help: "Delete copies of new unseal keys, of which none are kept."},
	{Op: logical.Read, Path: "rekey/recovery-key-backup", Do: (*system).rekeyBackup, Sudo: true, Help: "Read copies of new recovery keys, of which none are kept."},
	{Op: logical.Delete, Path: "rekey/recovery-key-backup", Do: (*system).deleteRekeyBackup, Sudo: true, Help: "Delete copies of new recovery keys, of which none are kept."},
	{Op: logical.Read, Path: "rekey-recovery-key/backup", Do: (*system).rekeyBackup, Sudo: true, Help: "Another path of rekey/recovery-key-backup."},
	{Op: logical.Delete, Path: "rekey-recovery-key/backup", Do: (*system).deleteRekeyBackup, Sudo: true, Help: "Another path of rekey/recovery-key-backup."},
	{Op: logical.Read, Path: "ha-status", Do: (*system).haStatus, Help: "List the other nodes of the cluster."},
	{Op: logical.Read, Path: "replication/status", Do: (*system).replicationStatus, Open: true, Help: "Tell that there is no replication."},
	{Op: logical.Read, Path: "replication/{kind}/status", Do: (*system).replicationKind, Open: true, Help: "Tell that there is no replication of a kind."},
	{Op: logical.List, Path: "version-history", Do: (*system).versionHistory, Help: "Tell which version runs. Earlier ones are not remembered."},
	{Op: logical.Read, Path: "experiments", Do: (*system).experiments, Help: "List the experiments, of which there are none."},
}

func (s *system) hostInfo(context.Context, *logical.Request) (*logical.Response, error) {
	info, err := s.Host()
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: info}, nil
}

func (s *system) metrics(_ context.Context, r *logical.Request) (*logical.Response, error) {
	contentType, body, err := s.Metrics(r.Text("format"))
	if err != nil {
		return nil, err
	}
	return &logical.Response{Raw: &logical.Raw{Status: 200, ContentType: contentType, Body: body}}, nil
}

func (s *system) stepDown(context.Context, *logical.Request) (*logical.Response, error) {
	return nil, nil
}

func (s *system) rekeyBackup(context.Context, *logical.Request) (*logical.Response, error) {
	return nil, logical.Invalid("no backed-up keys found")
}

func (s *system) deleteRekeyBackup(context.Context, *logical.Request) (*logical.Response, error) {
	return nil, nil
}

func (s *system) haStatus(context.Context, *logical.Request) (*logical.Response, error) {
	return &logical.Response{TopLevel: true, Data: object{"nodes": []object{}}}, nil
}

var noReplication = object{"mode": "disabled"}

func (s *system) replicationStatus(context.Context, *logical.Request) (*logical.Response, error) {
	return &logical.Response{Data: object{"dr": noReplication, "performance": noReplication}}, nil
}

func (s *system) replicationKind(_ context.Context, r *logical.Request) (*logical.Response, error) {
	if kind := r.Text("kind"); kind != "dr" && kind != "performance" {
		return nil, logical.ErrUnsupportedPath
	}
	return &logical.Response{Data: noReplication}, nil
}

// versionHistory tells of the version that runs, as if it had been there from the
// initialization on.
func (s *system) versionHistory(context.Context, *logical.Request) (*logical.Response, error) {
	terms := s.Barrier.Terms()
	if len(terms) == 0 {
		return nil, logical.ErrSealed
	}
	return &logical.Response{Data: object{
		"keys": []string{version.Full()},
		"key_info": object{version.Full(): object{
			"build_date": version.BuildDate(), "previous_version": nil,
			"timestamp_installed": terms[0].Created.Format(time.RFC3339),
		}},
	}}, nil
}

func (s *system) experiments(context.Context, *logical.Request) (*logical.Response, error) {
	return &logical.Response{Data: object{"available": []string{}, "enabled": []string{}}}, nil
}

func (s *system) seal(context.Context, *logical.Request) (*logical.Response, error) {
	return &logical.Response{After: func() { s.House.Seal(context.Background()) }}, nil
}
