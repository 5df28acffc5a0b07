//! The world's clockwork: from one instant to the next, every node and device at once.
//!
//! Within a step the draw of every device is constant, so that heat is solved exactly
//! however long the step: a step of an hour and 3,600 of a second end alike.

use super::World;
use super::chain::{self, Stage};
use super::effects::{Effects, Share};
use super::schedule::Segment;
use super::silicon::Ask;

/// What one device does in a step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DeviceState {
    /// Rise of the two thermal stages at the end of the step, K.
    pub(super) rise: [f64; 2],
    pub(super) temp_c: f64,
    /// Mean over the step, W.
    pub(super) power_w: f64,
    /// Mean over the step before.
    pub(super) power_before_w: f64,
    /// Mean and lowest clock while busy, as shares of the highest.
    pub(super) clock: f64,
    pub(super) clock_min: f64,
    /// Share of the time that it was busy, and that the brake was pulled.
    pub(super) busy: f64,
    pub(super) brake: f64,
    /// Share of the time that it waited for the host.
    pub(super) wait: f64,
    pub(super) limit_w: f64,
    pub(super) capped: bool,
    pub(super) slowed: bool,
    pub(super) hw_slowed: bool,
}

/// What cools one node in a step.
#[derive(Debug, Clone, Copy)]
struct Cooling {
    /// Coolant or air, in degrees Celsius.
    reference_c: f64,
    /// Second stage's resistance (without slot) and its decay.
    r2: f64,
    left2: f64,
    mean2: f64,
}

/// A running world.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub(super) devices: Vec<DeviceState>,
    pub(super) supply_c: Vec<f64>,
    pub(super) air_c: Vec<f64>,
    pub(super) node_kw: Vec<f64>,
    pub(super) heat_kw: Vec<f64>,
    pub(super) effects: Effects,
    shares: Vec<Share>,
    /// Share of its full draw that each node may take.
    limited: Vec<f64>,
}

/// Long enough before the run for everything to have settled, s.
const SETTLED_S: f64 = 1e6;
/// Time constant of the air in a zone, s (a room turns over its air in about a minute).
const AIR_S: f64 = 60.0;

/// A step: part of a phase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) segment: &'a Segment,
    /// Seconds from the start of the phase.
    pub(super) from_s: f64,
    pub(super) to_s: f64,
}

impl Engine {
    /// A world that has been idle for long when the run starts.
    pub(super) fn new(world: &World) -> Self {
        let shares = world.faults.shares(world.made(), 0.0, 0.0);
        let effects = world.faults.effects(world.made(), &shares);
        let mut engine = Self {
            devices: vec![DeviceState::default(); world.devices.len()],
            supply_c: vec![world.physics.cooling.supply_set_c; world.plant.loops.len()],
            air_c: world.nodes.iter().map(|node| node.air_c).collect(),
            node_kw: vec![0.0; world.nodes.len()],
            heat_kw: vec![0.0; world.plant.loops.len()],
            effects,
            shares,
            limited: vec![1.0; world.nodes.len()],
        };
        engine.advance(world, (SETTLED_S, 0.0), |_| 0.0, 1.0);
        for device in &mut engine.devices {
            device.power_before_w = device.power_w;
        }
        engine
    }

    /// Goes on by one step.
    pub(super) fn step(&mut self, world: &World, step: Step<'_>) {
        let Step { segment, from_s, to_s } = step;
        let (start, end) = (segment.start_s + from_s, segment.start_s + to_s);
        let shares = world.faults.shares(world.made(), start, end);
        if shares != self.shares {
            self.effects = world.faults.effects(world.made(), &shares);
            self.shares = shares;
        }
        let levels = segment.levels(from_s, to_s);
        let of = |node: usize| segment.level_of(node, &levels);
        self.advance(world, (to_s - from_s, end), of, segment.intensity);
    }

    fn advance(
        &mut self,
        world: &World,
        (dt_s, end_s): (f64, f64),
        level_of: impl Fn(usize) -> f64,
        intensity: f64,
    ) {
        self.draw(world, &level_of, intensity);
        self.share_limits(world);
        self.cool(world, dt_s, end_s);
        let (left1, mean1) = chain::decay(world.physics.thermal.t1_s, dt_s);
        for node in 0..world.nodes.len() {
            let cooling = self.cooling(world, node, dt_s);
            let level = level_of(node);
            for device in world.nodes[node].range() {
                let part = &world.devices[device];
                let own = &self.effects.devices[device];
                let r1 = part.r1 * own.r1 * self.effects.nodes[node].r1;
                let stages = [
                    Stage { r: r1, left: left1, mean: mean1 },
                    Stage { r: cooling.r2 + part.slot_r, left: cooling.left2, mean: cooling.mean2 },
                ];
                self.run(world, (node, device), level, intensity, (cooling.reference_c, stages));
            }
            self.node_kw[node] = self.wall_kw(world, node, level);
        }
        self.heat_kw = world.plant.heat(&self.node_kw);
    }

    /// First guess of what every node draws, with devices as warm as they were.
    fn draw(&mut self, world: &World, level_of: &impl Fn(usize) -> f64, intensity: f64) {
        for node in 0..world.nodes.len() {
            let level = level_of(node);
            for device in world.nodes[node].range() {
                let state = &self.devices[device];
                let ask = self.ask(world, (node, device), level, intensity, state.temp_c);
                let state = &mut self.devices[device];
                state.power_before_w = state.power_w;
                state.power_w = ask.power_w();
            }
            self.node_kw[node] = self.wall_kw(world, node, level);
        }
    }

    fn wall_kw(&self, world: &World, node: usize, level: f64) -> f64 {
        if !self.effects.nodes[node].present {
            return 0.0;
        }
        let power = &world.physics.power;
        let devices: f64 =
            self.devices[world.nodes[node].range()].iter().map(|device| device.power_w).sum();
        let host = power.host_idle_w + (power.host_load_w - power.host_idle_w) * level;
        (devices + host) / power.psu_efficiency / 1_000.0
    }

    /// What each power limit leaves of its nodes' draw.
    fn share_limits(&mut self, world: &World) {
        self.limited.fill(1.0);
        for limit in &self.effects.limits {
            let wanted: f64 = limit.nodes.iter().map(|&node| self.node_kw[node]).sum();
            if wanted <= limit.kw {
                continue;
            }
            let left = limit.kw / wanted;
            for &node in &limit.nodes {
                let devices: f64 = self.devices[world.nodes[node].range()]
                    .iter()
                    .map(|device| device.power_w)
                    .sum();
                let gone_kw = (1.0 - left) * self.node_kw[node];
                let gone_w = gone_kw * 1_000.0 * world.physics.power.psu_efficiency;
                // Processors and fans do not give way; devices do.
                let share = if devices > 0.0 { (1.0 - gone_w / devices).max(0.0) } else { 1.0 };
                self.limited[node] = self.limited[node].min(share);
            }
        }
    }

    /// Coolant and air at the end of the step.
    fn cool(&mut self, world: &World, dt_s: f64, end_s: f64) {
        let heat = world.plant.heat(&self.node_kw);
        world.plant.advance(&mut self.supply_c, &heat, &self.effects.plant, (dt_s, end_s));
        let (left, _) = chain::decay(AIR_S, dt_s);
        for (node, part) in world.nodes.iter().enumerate() {
            let effect = &self.effects.nodes[node];
            let load = self.node_kw[node] / part.full_kw;
            let steady = part.air_c + effect.air_k + effect.air_loaded_k * load;
            self.air_c[node] = steady + (self.air_c[node] - steady) * left;
        }
    }

    fn cooling(&self, world: &World, node: usize, dt_s: f64) -> Cooling {
        let (thermal, cooling) = (&world.physics.thermal, &world.physics.cooling);
        let part = &world.nodes[node];
        let nominal =
            thermal.r2_solid_k_per_w + thermal.r2_film_k_per_w + thermal.r2_caloric_k_per_w;
        let (reference_c, r2) = match part.coolant {
            Some(at) => {
                let flow = part.flow * self.effects.nodes[node].flow;
                let film = thermal.r2_film_k_per_w * flow.powf(-super::FLOW_EXPONENT);
                let r2 = thermal.r2_solid_k_per_w + film + thermal.r2_caloric_k_per_w / flow;
                let air_k = self.air_c[node] - cooling.inlet_air_c;
                (self.supply_c[at] + cooling.air_coupling * air_k, r2)
            }
            None => (self.air_c[node], thermal.air_factor * nominal / part.flow),
        };
        let (left2, mean2) = chain::decay(thermal.t2_s * r2 / nominal, dt_s);
        Cooling { reference_c, r2: r2 * part.r_scale + part.place_r, left2, mean2 }
    }

    fn ask(
        &self,
        world: &World,
        (node, device): (usize, usize),
        level: f64,
        intensity: f64,
        temp_c: f64,
    ) -> Ask {
        let (model, part) = (&world.physics.device, &world.devices[device]);
        let (nodes, own) = (&self.effects.nodes[node], &self.effects.devices[device]);
        let cap_w = world.nodes[node].cap_w;
        let leak = model.leak_share + model.leak_share_per_k * (temp_c - model.leak_at_c);
        let dynamic = intensity * (model.demand_share - model.leak_share);
        Ask {
            level: level * (1.0 - nodes.wait),
            idle_w: part.idle_w,
            leak_w: leak.max(0.0) * cap_w,
            dynamic_w: dynamic * cap_w * part.dynamic * own.dynamic,
            // The device holds what its own sensor shows to the limit.
            limit_w: cap_w * nodes.cap / part.power_gain,
        }
    }

    /// One device over the step: limit, then brake, then heat, each of which may slow it.
    fn run(
        &mut self,
        world: &World,
        (node, device): (usize, usize),
        level: f64,
        intensity: f64,
        (reference_c, stages): (f64, [Stage; 2]),
    ) {
        let model = &world.physics.device;
        let (exponent, floor) = world.clocks();
        let before = self.devices[device];
        let guess_w = before.power_w * self.limited[node];
        let mean_c = reference_c
            + stages[0].mean(before.rise[0], guess_w)
            + stages[1].mean(before.rise[1], guess_w);
        let ask = self.ask(world, (node, device), level, intensity, mean_c);
        let act = ask.act(exponent, floor);
        let (mut power_w, mut clock, mut clock_min) = (act.power_w, act.clock, act.clock);

        let mut brake = 0.0;
        let (pulled, limited) = (self.effects.nodes[node].brake, self.limited[node]);
        if ask.level > 0.0 && (pulled > 0.0 || limited < 1.0) {
            let braked_clock = (clock * world.physics.power.brake_clock).max(floor);
            // What braking all the time would save bounds what it can.
            let most_w = power_w - ask.power_at(braked_clock, exponent);
            let missing_w = power_w * (1.0 - limited);
            let needed = if most_w > 0.0 { (missing_w / most_w).min(1.0) } else { 0.0 };
            brake = pulled.max(needed);
            power_w -= brake * most_w.max(0.0);
            clock -= brake * (clock - braked_clock);
            clock_min = if brake > 0.0 { braked_clock } else { clock_min };
        }

        let free_c =
            reference_c + before.rise[0] * stages[0].left + before.rise[1] * stages[1].left;
        let gain = stages[0].gain() + stages[1].gain();
        let slowed = ask.level > 0.0 && free_c + gain * power_w > model.slowdown_c;
        if slowed {
            let held_w = ((model.slowdown_c - free_c) / gain).max(0.0);
            let held = Ask { limit_w: held_w.min(power_w), ..ask }.act(exponent, floor);
            power_w = held.power_w.min(power_w);
            clock = held.clock.min(clock);
            // The controller hunts: a V100 held at its limit was seen at its lowest clock.
            clock_min = floor;
        }
        let rise = [stages[0].end(before.rise[0], power_w), stages[1].end(before.rise[1], power_w)];
        let temp_c = reference_c + rise[0] + rise[1];
        self.devices[device] = DeviceState {
            rise,
            temp_c,
            power_w,
            power_before_w: before.power_before_w,
            clock,
            clock_min,
            busy: ask.level,
            brake,
            wait: self.effects.nodes[node].wait * level,
            limit_w: world.nodes[node].cap_w * self.effects.nodes[node].cap,
            capped: act.capped,
            slowed,
            hw_slowed: slowed && temp_c > model.hw_slowdown_c,
        };
    }
}
