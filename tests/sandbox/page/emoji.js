// Short codes that messages may use. An unknown one is shown as it is written, as in Slack.
export const EMOJI = {
  white_check_mark: "✅", heavy_check_mark: "✔️", x: "❌", warning: "⚠️", no_entry: "⛔", no_entry_sign: "🚫",
  hourglass: "⌛", hourglass_flowing_sand: "⏳", arrows_counterclockwise: "🔄", repeat: "🔁", outbox_tray: "📤",
  inbox_tray: "📥", incoming_envelope: "📨", envelope: "✉️", email: "📧", mailbox: "📫", mailbox_with_mail: "📬",
  rotating_light: "🚨", red_circle: "🔴", large_green_circle: "🟢", large_yellow_circle: "🟡", large_orange_circle: "🟠",
  large_blue_circle: "🔵", white_circle: "⚪", black_circle: "⚫", bell: "🔔", no_bell: "🔕", gear: "⚙️", key: "🔑", lock: "🔒",
  closed_lock_with_key: "🔐", link: "🔗", electric_plug: "🔌", information_source: "ℹ️", question: "❓",
  grey_question: "❔", exclamation: "❗", bulb: "💡", tada: "🎉", wave: "👋", eyes: "👀", mag: "🔍", page_facing_up: "📄",
  bookmark_tabs: "📑", receipt: "🧾", clipboard: "📋", file_folder: "📁", bar_chart: "📊", chart_with_upwards_trend: "📈",
  label: "🏷️", bookmark: "🔖", calendar: "📅", date: "📅", clock1: "🕐", stopwatch: "⏱️", alarm_clock: "⏰", speech_balloon: "💬",
  pencil2: "✏️", memo: "📝", wastebasket: "🗑️", pause_button: "⏸️", double_vertical_bar: "⏸️", arrow_forward: "▶️",
  fast_forward: "⏩", arrow_right: "➡️", arrow_up: "⬆️", arrow_down: "⬇️", arrow_heading_up: "⤴️", heavy_minus_sign: "➖",
  heavy_plus_sign: "➕", zzz: "💤", sos: "🆘", construction: "🚧", package: "📦", euro: "💶", credit_card: "💳", handshake: "🤝",
  raised_hand: "✋", "+1": "👍", thumbsup: "👍", "-1": "👎", smile: "😄", rocket: "🚀", sparkles: "✨", broken_heart: "💔",
  ballot_box_with_check: "☑️", satellite_antenna: "📡", turtle: "🐢", hammer_and_wrench: "🛠️",
  ghost: "👻", bust_in_silhouette: "👤", busts_in_silhouette: "👥", house: "🏠", office: "🏢", globe_with_meridians: "🌐",
};
