// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Gate} from "../src/Gate.sol";

/// A token with open minting; `fee` bps are burnt of every transfer, `stuck` refuses to let an allowance go to zero,
/// `lies` answers false to whoever approves.
contract MockToken {
    uint8 public decimals;
    uint256 public fee;
    bool public stuck;
    bool public lies;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    constructor(uint8 decimals_) {
        decimals = decimals_;
    }

    receive() external payable {}

    function setFee(uint256 bps) external {
        fee = bps;
    }

    function setStuck(bool yes) external {
        stuck = yes;
    }

    function setLies(bool yes) external {
        lies = yes;
    }

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function burn(address from, uint256 amount) external {
        balanceOf[from] -= amount;
    }

    function approve(address spender, uint256 amount) external virtual returns (bool) {
        if (!(stuck && amount == 0)) allowance[msg.sender][spender] = amount;
        return !lies;
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external virtual returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }

    /// What WETH does.
    function withdraw(uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        (bool ok,) = msg.sender.call{value: amount}("");
        require(ok);
    }

    function _move(address from, address to, uint256 amount) internal {
        balanceOf[from] -= amount;
        balanceOf[to] += amount - amount * fee / 10_000;
    }
}

contract MockFeed {
    uint8 public decimals;
    int256 public answer;
    uint256 public startedAt;
    uint256 public updatedAt;

    constructor(uint8 decimals_, int256 answer_) {
        decimals = decimals_;
        set(answer_, block.timestamp);
    }

    function set(int256 answer_, uint256 at) public {
        (answer, startedAt, updatedAt) = (answer_, at, at);
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (1, answer, startedAt, updatedAt, 1);
    }
}

/// A V3 pool's memory of one tick; `rest` is added to the cumulative, for means between two ticks.
contract MockV3Pool {
    address public token0;
    address public token1;
    int56 public tick;
    int56 public rest;

    constructor(address a, address b, int56 tick_) {
        (token0, token1, tick) = (a, b, tick_);
    }

    function set(int56 tick_, int56 rest_) external {
        (tick, rest) = (tick_, rest_);
    }

    function observe(uint32[] calldata ago) external view returns (int56[] memory c, uint160[] memory s) {
        c = new int56[](ago.length);
        s = new uint160[](ago.length);
        for (uint256 i; i < ago.length; i++) {
            int56 at = int56(uint56(block.timestamp)) - int56(uint56(ago[i]));
            c[i] = tick * at + (ago[i] == 0 ? rest : int56(0));
        }
    }
}

/// A router that does whatever its caller's calldata says: the best friend an attacker can have.
contract MockRouter {
    function swap(MockToken tokenIn, MockToken tokenOut, uint256 pulled, uint256 paid, address to) public {
        if (pulled != 0) tokenIn.transferFrom(msg.sender, address(this), pulled);
        tokenOut.mint(to, paid);
    }

    function keep(MockToken tokenOut, uint256 paid, address to) external {
        tokenOut.mint(to, paid);
    }

    /// Delivers somebody else's money to the Safe in the middle of the trade.
    function settleSomethingElse(MockToken tokenIn, MockToken tokenOut, uint256 pulled, uint256 due, address safe) external {
        tokenIn.transferFrom(msg.sender, address(this), pulled);
        tokenOut.mint(safe, due);
    }

    function reenter(address target, bytes calldata data) external {
        (bool ok, bytes memory answer) = target.call(data);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}

/// The Safe as the Gate sees it: an address with owners that can make any call its owners agreed on.
contract MockSafe {
    mapping(address => bool) public isOwner;

    constructor(address[] memory owners) {
        for (uint256 i; i < owners.length; i++) {
            isOwner[owners[i]] = true;
        }
    }

    function call(address to, bytes calldata data) external returns (bytes memory) {
        (bool ok, bytes memory answer) = to.call(data);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        return answer;
    }
}

contract MockAaveToken is MockToken {
    address public UNDERLYING_ASSET_ADDRESS;
    address public POOL;

    constructor(address asset, address pool) MockToken(18) {
        (UNDERLYING_ASSET_ADDRESS, POOL) = (asset, pool);
    }
}

/// One reserve at one price; health is collateral times 0.8 over debt. `skim` is withheld from what it pays out.
contract MockAave {
    MockToken public asset;
    MockAaveToken public aToken;
    MockAaveToken public debtToken;
    uint256 public skim;

    function init(MockToken a) external {
        asset = a;
        aToken = new MockAaveToken(address(a), address(this));
        debtToken = new MockAaveToken(address(a), address(this));
    }

    function setSkim(uint256 amount) external {
        skim = amount;
    }

    function supply(address, uint256 amount, address who, uint16) external {
        asset.transferFrom(msg.sender, address(this), amount);
        aToken.mint(who, amount - skim);
    }

    function withdraw(address, uint256, address to) external returns (uint256 amount) {
        amount = aToken.balanceOf(msg.sender);
        aToken.burn(msg.sender, amount);
        asset.mint(to, amount - skim);
    }

    function borrow(address, uint256 amount, uint256, uint16, address who) external {
        debtToken.mint(who, amount);
        asset.mint(msg.sender, amount - skim);
    }

    function repay(address, uint256 amount, uint256, address who) external returns (uint256) {
        uint256 owed = debtToken.balanceOf(who);
        if (amount > owed) amount = owed;
        asset.transferFrom(msg.sender, address(this), amount);
        debtToken.burn(who, amount - skim);
        return amount;
    }

    function getUserAccountData(address who) external view returns (uint256, uint256, uint256, uint256, uint256, uint256) {
        uint256 debt = debtToken.balanceOf(who);
        uint256 health = debt == 0 ? type(uint256).max : aToken.balanceOf(who) * 0.8e18 / debt;
        return (0, debt, 0, 0, 0, health);
    }
}

/// What a Zodiac Roles modifier with the Gate as its target does once its own rules have said yes.
contract MockModifier {
    function exec(Gate gate, address to, uint256 value, bytes calldata data, uint8 operation) external {
        gate.execTransactionFromModule(to, value, data, operation);
    }
}
