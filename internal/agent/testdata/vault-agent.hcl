# Every stanza of Vault Agent's documentation, with what people put there.
pid_file  = "./pidfile"
log_level = "info"
log_file  = "/var/log/vault-agent.log"

vault {
  address         = "https://vault.example.com:8200"
  namespace       = "team"
  ca_cert         = "/etc/ssl/ca.pem"
  tls_skip_verify = "false"
  retry {
    num_retries = 5
  }
}

auto_auth {
  method {
    type       = "approle"
    mount_path = "auth/approle-prod"
    min_backoff = "2s"
    max_backoff = "1m"

    config = {
      role_id_file_path                   = "roleid"
      secret_id_file_path                 = "secretid"
      remove_secret_id_file_after_reading = false
      secret_id_response_wrapping_path    = "auth/approle/role/app/secret-id"
    }
  }

  sink "file" {
    wrap_ttl = "5m"
    config = {
      path = "/tmp/file-foo"
      mode = 0600
    }
  }

  sinks {
    sink {
      type = "file"
      config = {
        path = "/tmp/file-bar"
      }
    }
  }
}

cache {
  persist "kubernetes" {
    path = "/vault/agent-cache"
  }
}

api_proxy {
  use_auto_auth_token = "force"
  enforce_consistency = "always"
}

listener "unix" {
  address     = "/run/agent.sock"
  socket_mode = "0660"
  tls_disable = true

  agent_api {
    enable_quit = true
  }
}

listener "tcp" {
  address                = "127.0.0.1:8100"
  tls_disable            = true
  require_request_header = true
  role                   = "default"
}

template_config {
  static_secret_render_interval = "10m"
  exit_on_retry_failure         = true
  max_connections_per_host      = 20
}

template {
  contents             = <<-EOT
    [[ with secret "secret/data/app" ]][[ .Data.data.password ]][[ end ]]
  EOT
  destination          = "/etc/app/app.conf"
  left_delimiter       = "[["
  right_delimiter      = "]]"
  error_on_missing_key = true
  create_dest_dirs     = false
  perms                = "0640"
  user                 = "root"
  group                = 0
  backup               = true

  wait {
    min = "2s"
    max = "10s"
  }

  exec {
    command = ["systemctl", "reload", "app"]
    timeout = "20s"
  }
}

template {
  contents    = "{{ with secret \"pki/issue/web\" \"common_name=a\" }}{{ .Data.certificate }}{{ end }}"
  destination = "/etc/app/other"
  command     = "true"
}

env_template "DB_PASSWORD" {
  contents             = "{{ with secret \"secret/data/db\" }}{{ .Data.data.password }}{{ end }}"
  error_on_missing_key = true
}

exec {
  command                   = ["./app", "arg1"]
  restart_on_secret_changes = "always"
  restart_stop_signal       = "SIGINT"
}
